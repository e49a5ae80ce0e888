"""
All standard pictures in one call
=================================

``look`` takes a trained model, some images and their labels. A notebook cell that ends with it
shows the model diagram, predictions, kernels, feature maps and a t-SNE of the last hidden layer.
The model is left as it was.
"""

# sphinx_gallery_thumbnail_path = "images/overview.png"
from digits_cnn import load, trained
from lightning_cnnviz import look

model, _ = trained()
data = load()
pictures = look(model, data.images, data.labels)
pictures

# %%
# The result is a mapping from names to pictures, arrays of shape (height, width, 3). The names are
# the tags that the callbacks use. ``pictures.save("folder")`` writes PNG files.
print(pictures)
