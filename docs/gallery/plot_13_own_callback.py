"""
A callback of your own
======================

What is not there can be added in your own project: derive from ``VisualCallback`` and say what to
draw. Schedule, loggers, cost, restarts and errors are taken care of. Here: how many of a layer's
weights are close to zero, as a histogram. :doc:`/add_a_visual` explains each hook.
"""

from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from lightning_cnnviz.callbacks import VisualCallback
from lightning_cnnviz.functional import layers_with_weights


def histogram(values, title):
    """Draw a histogram of values as a picture of 160 × 320 pixels."""
    counts, _ = np.histogram(values, bins=80)
    heights = 130 * counts / counts.max()
    picture = np.arange(130, 0, -1)[:, None] <= np.repeat(heights, 4)[None]
    canvas = np.pad(
        np.where(picture, 90, 255).astype(np.uint8), ((30, 0), (0, 0)), constant_values=255
    )
    image = Image.fromarray(canvas).convert("RGB")
    ImageDraw.Draw(image).text((4, 8), title, fill="black")
    return np.asarray(image)


class WeightHistogram(VisualCallback):
    """Draws a histogram of each layer's weights: image `weights/<layer>`."""

    def choose_layers(self, module):
        """Every layer with weights."""
        return layers_with_weights(module, fewest_dimensions=2)

    def drawings(self, trainer, module):
        """One picture per layer."""
        for name in self.selected:
            weight = module.get_submodule(name).weight.detach().cpu().flatten().numpy().copy()
            yield f"{self.tag}/{name}", partial(histogram, weight, self.title(name, trainer))


# %%
# It works in any Trainer, with any logger. The CSV logger writes each picture as a file:
import tempfile
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger
from torch.nn.functional import cross_entropy
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from digits_cnn import Net, load


class Classifier(pl.LightningModule):
    """The CNN of the other pages, as a LightningModule."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def training_step(self, batch):
        """Cross-entropy of a batch."""
        images, labels = batch
        return cross_entropy(self.net(images), labels)

    def configure_optimizers(self):
        """Adam."""
        return Adam(self.parameters(), lr=3e-3)


folder = tempfile.mkdtemp()
data = DataLoader(TensorDataset(*load()[:2]), batch_size=64, shuffle=True)
trainer = pl.Trainer(
    max_epochs=3,
    logger=CSVLogger(folder),
    callbacks=WeightHistogram(tag="weights"),
    accelerator="cpu",
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
)
trainer.fit(Classifier(), data)

drawn = sorted(Path(folder).rglob("weights/net.fc1/*.png"))
print(*(path.relative_to(folder) for path in drawn), sep="\n")

# %%
Image.open(drawn[-1])
