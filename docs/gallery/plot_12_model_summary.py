"""
Model summary: diagram and table
================================

One forward pass shows the layers and functions that run, the shapes of their outputs, and what
flows between.
"""

from PIL import Image

from digits_cnn import load, trained
from lightning_cnnviz.functional import (
    architecture_diagram,
    architecture_table,
    arranged,
    count_parameters,
    network_graph,
)

model, _ = trained()
images = load().images
graph = network_graph(model, images[:1])

Image.fromarray(architecture_diagram(arranged(graph), title="Net"))

# %%
# The same as a Markdown table, with parameters and multiply-adds; in a notebook,
# ``display(Markdown(table))`` sets it.
table = architecture_table(graph.infos, count_parameters(model))
print(table)
