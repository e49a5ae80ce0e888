"""
Projection as an animation
==========================

t-SNE through training. Each layout starts from the one before and is turned onto it, so that points
move only as far as the activations have changed. The result is an animated PNG, which every browser
plays.
"""

import torch
from IPython.display import Image

from digits_cnn import CLASS_NAMES, Net, load, train
from lightning_cnnviz.functional import apng, project, projection_animation, record

torch.manual_seed(0)
model, data, layouts = Net(), load(), []


def lay_out(_):
    """Lay out what the last hidden layer makes of the held-out digits now."""
    activations = record(model, data.images, "relu3").layers["relu3"]
    layouts.append(project(activations, init=layouts[-1].points if layouts else None))


lay_out(0)
train(model, epochs=5, after_epoch=lay_out)
titles = [f"relu3 · after {epoch} epochs" for epoch in range(len(layouts))]
animation = projection_animation(layouts, data.labels, CLASS_NAMES, method="tsne", titles=titles)

Image(data=apng(animation))

# %%
# During training :doc:`EmbeddingProjection </callbacks/embedding_projection>` makes the same
# animation of every layer that it shows, and saves it when training ends.
