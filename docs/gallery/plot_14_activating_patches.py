"""
Maximally activating patches
============================

The parts of real samples that excite a channel most, left, and least, right, as large as what one
of its units sees. Under each are the channel's activations over it, the activation of the unit in
the middle, and the class.
"""

from PIL import Image

from digits_cnn import CLASS_NAMES, load, trained
from lightning_cnnviz.functional import find_patches, patch_sheet, receptive_fields

model, _ = trained()
data = load()
found = find_patches(model, data.images, "conv1", classes=data.labels, channels=4)
Image.fromarray(patch_sheet(found, CLASS_NAMES, title="conv1"))

# %%
# Behind the first pooling a unit sees more: its receptive field is known for every layer with maps.
fields = receptive_fields(model, data.images, ["conv1", "conv2"])
{name: field.patch_size for name, field in fields.items()}

# %%
# The second one's is larger than the images of 8×8 pixels, so that its patches are whole images.
found = find_patches(model, data.images, "conv2", classes=data.labels, channels=4)
Image.fromarray(patch_sheet(found, CLASS_NAMES, title="conv2"))
