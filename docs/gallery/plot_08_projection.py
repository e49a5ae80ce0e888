"""
Projection: PCA and t-SNE
=========================

The activations of a layer in the plane, by PCA or t-SNE: how far the classes have come apart there.
"""

from PIL import Image

from digits_cnn import CLASS_NAMES, load, trained
from lightning_cnnviz.functional import (
    last_hidden_layer,
    measure,
    project,
    projection_chart,
    record,
)

model, _ = trained()
images, labels = load().images, load().labels
layer = last_hidden_layer(model, images[:2])
activations = record(model, images, [layer]).layers[layer]
layout = project(activations, method="tsne")
quality = measure(layout, labels, values=activations.numpy())

Image.fromarray(
    projection_chart(layout, labels, CLASS_NAMES, method="tsne", numbers=quality, title=layer)
)

# %%
# Layer by layer, PCA beside t-SNE: the deeper the layer, the further apart the classes.
from lightning_cnnviz.functional import projection_overview

layers = ["pool1", "pool2", "relu3"]
seen = record(model, images, layers).layers
layouts = {
    (name, method): project(seen[name], method=method)
    for method in ("pca", "tsne")
    for name in layers
}

Image.fromarray(projection_overview(layouts, labels, CLASS_NAMES, title="held-out digits"))
