"""
Feature maps
============

What a layer makes of an image. ``record`` runs the model in evaluation mode, returns the
activations of the layers asked for, and leaves no trace.
"""

from PIL import Image

from digits_cnn import load, trained
from lightning_cnnviz.functional import feature_maps, record

model, _ = trained()
images, labels = load().images[:3], load().labels[:3]
seen = record(model, images, ["conv1", "relu1", "conv2"])
predicted = seen.output.argmax(dim=1)
captions = [
    [f"true: {true}", f"pred: {pred}"] for true, pred in zip(labels, predicted, strict=True)
]

Image.fromarray(feature_maps(seen.layers["relu1"], images, captions, title="relu1"))

# %%
# The way through the network at a glance: one map per layer, the mean over its channels.
from lightning_cnnviz.functional import mean_maps

Image.fromarray(mean_maps(seen.layers, images, captions, title="mean over channels"))
