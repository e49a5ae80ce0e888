"""
Gradients
=========

Mean and largest gradient of each layer, and how they change through training. Layers whose
gradients vanish or explode stand out.
"""

import numpy as np
import torch
from PIL import Image

from digits_cnn import Net, train
from lightning_cnnviz.functional import (
    gradient_bars,
    gradient_heat_map,
    gradient_sums,
    layers_with_weights,
    weights_of,
)

torch.manual_seed(0)
model = Net()
weights = weights_of(model, layers_with_weights(model, fewest_dimensions=2))
sizes = np.array([weight.numel() for weight in weights.values()])
steps, mean_abs, max_abs = [], [], []


def read_gradients(step):
    """Read the gradients of this step, before the optimizer uses them."""
    sums = gradient_sums([weight.grad for weight in weights.values()])
    steps.append(step)
    mean_abs.append(sums.sum_abs.numpy() / sizes)
    max_abs.append(sums.max_abs.numpy())


train(model, epochs=5, after_step=read_gradients)
Image.fromarray(gradient_bars(list(weights), mean_abs[-1], max_abs[-1], title=f"step {steps[-1]}"))

# %%
# Which layer, since when:
Image.fromarray(gradient_heat_map(list(weights), steps, np.array(mean_abs).T, title="mean |g|"))
