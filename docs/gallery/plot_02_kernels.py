"""
Kernels
=======

What the convolutions look for. Blue is negative, red positive, white zero, on one scale for the
whole layer.
"""

from PIL import Image

from digits_cnn import trained
from lightning_cnnviz.functional import conv_weight, kernel_grid

model, _ = trained()
Image.fromarray(kernel_grid(conv_weight(model.conv1), title="conv1"))

# %%
# Small kernels can have their weights written into the cells. A deeper layer has a kernel for each
# pair of input and output channel: choose an input channel, or the mean over all of them.
weight = conv_weight(model.conv2)
Image.fromarray(kernel_grid(weight, channel=3, numbers=True, title="conv2, input channel 3"))

# %%
Image.fromarray(
    kernel_grid(weight, channel="mean", scale="kernel", title="conv2, mean over input channels")
)
