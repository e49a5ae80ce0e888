"""
Saliency
========

Which places of an image speak for its class. Needs ``pip install "lightning-cnnviz[saliency]"``.
"""

from PIL import Image

from digits_cnn import CLASS_NAMES, load, trained
from lightning_cnnviz.functional import Attribution, attribute, saliency_sheet

model, _ = trained()
images, labels = load().images[:6], load().labels[:6].tolist()
names = [CLASS_NAMES[label] for label in labels]
captions = [[f"true: {name}"] for name in names]

maps = attribute(model, images, labels, layer="relu2")
Image.fromarray(
    saliency_sheet(images, captions, maps, range(6), names, signed=False, title="Grad-CAM at relu2")
)

# %%
# Occlusion also shows what speaks against a class.
maps = attribute(model, images, labels, Attribution("occlusion", window=2))
Image.fromarray(
    saliency_sheet(images, captions, maps, range(6), names, signed=True, title="occlusion")
)
