"""
The life of every sample
========================

Which samples a network finds easy, ambiguous or hard, and whose label is probably wrong.
"""

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from digits_cnn import CLASS_NAMES, Net, load
from lightning_cnnviz.functional import (
    data_map,
    history_sheet,
    rank_samples,
    sample_dynamics,
    sample_margins,
)

# %%
# Of 1,437 digits, 40 get the label of another class. While the network trains, the scores that it
# computes anyway are kept for each sample.
images, labels = load().train_images, load().train_labels.clone()
random = np.random.default_rng(0)
changed = random.choice(len(labels), 40, replace=False)
labels[changed] = (labels[changed] + torch.from_numpy(random.integers(1, 10, 40))) % 10

torch.manual_seed(0)
model, passes = Net(), []
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(8):
    scores = torch.zeros(len(images), len(CLASS_NAMES))
    for batch in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        output = model(images[batch])
        cross_entropy(output, labels[batch]).backward()
        optimizer.step()
        scores[batch] = output.detach()
    passes.append(sample_margins(scores, labels))

margin, confidence, predicted = (np.stack(part) for part in zip(*passes, strict=True))
dynamics = sample_dynamics(margin, confidence, predicted, labels.numpy())

Image.fromarray(data_map(dynamics, title="digits · 8 passes"))

# %%
# Those whose label is probably wrong: on average another class has the larger logit.
suspicious = rank_samples(dynamics, "mislabelled", most=20)
print(f"{np.isin(suspicious, changed).sum()} of {len(suspicious)} were changed")

Image.fromarray(
    history_sheet(
        {int(number): images[int(number)] for number in suspicious},
        suspicious,
        dynamics.take(suspicious),
        CLASS_NAMES,
        title="probably wrong labels",
    )
)
