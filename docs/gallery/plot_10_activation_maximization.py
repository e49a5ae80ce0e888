"""
Activation maximization
=======================

The input that excites a unit most, found by gradient ascent from noise. Below each image are the
unit and its activation.
"""

from PIL import Image

from digits_cnn import CLASS_NAMES, load, trained
from lightning_cnnviz.functional import Ascent, excitation_grid, maximize

model, _ = trained()
found = maximize(model, "fc2", load().train_images, ascent=Ascent(steps=200))
Image.fromarray(excitation_grid(found, CLASS_NAMES, title="fc2: one image per class"))

# %%
# Of a convolution a unit is a channel, and the mean over its map counts.
found = maximize(model, "conv2", load().train_images, units=16)
Image.fromarray(excitation_grid(found, title="conv2: one image per channel"))
