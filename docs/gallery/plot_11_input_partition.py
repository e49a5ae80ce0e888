"""
Input partition
===============

A network of linear layers, ReLUs and max-pools is affine in each of finitely many cells. With two
inputs the cells can be drawn, exactly. Here: a small network that tells two circles apart.
"""

import torch
from PIL import Image
from sklearn.datasets import make_circles
from torch import nn

from lightning_cnnviz.functional import PartitionViews, PlaneModel, Points, partition

places, labels = make_circles(300, factor=0.5, noise=0.1, random_state=0)
inputs, targets = (
    torch.tensor(places, dtype=torch.float32),
    torch.tensor(labels, dtype=torch.float32),
)

torch.manual_seed(1)
model = nn.Sequential(
    nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid()
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(500):
    optimizer.zero_grad()
    nn.functional.binary_cross_entropy(model(inputs).squeeze(1), targets).backward()
    optimizer.step()

# %%
# Cut the plane, then draw the views: the decision surface first.
plane, bounds = PlaneModel(model), (-1.6, 1.6, -1.6, 1.6)
cells = partition(plane, bounds)
views = PartitionViews(plane, cells, Points(places, labels), None, ["outer", "inner"]).all()
print(*views)

Image.fromarray(views["output/decision"]())

# %%
# The cells that both layers cut the plane into: in each of them the network is one affine map.
Image.fromarray(views["2/cells"]())

# %%
# The units of the first layer: linear response with its hyperplane, activation, on or off.
Image.fromarray(views["0/nodes"]())
