"""
Model summary: diagram and table
================================

One forward pass shows the layers in the order in which they run, with the shapes of their outputs.
"""

from PIL import Image

from digits_cnn import load, trained
from lightning_cnnviz.functional import (
    architecture,
    architecture_diagram,
    architecture_table,
    count_parameters,
)

model, _ = trained()
images = load().images
layers = architecture(model, images[:1])

Image.fromarray(architecture_diagram(layers, images.shape[1:], title="Net"))

# %%
# The same as a Markdown table, with parameters and multiply-adds; in a notebook,
# ``display(Markdown(table))`` sets it.
table = architecture_table(layers, count_parameters(model))
print(table)
