"""What is found is what the network really answers to."""

import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.functional.units.patch_search import find_patches
from recipes.edge_filters import EdgeFilters, Photograph


def tiles(size=24):
    """Parts of a photograph, shape (samples, 1, size, size)."""
    image = Photograph().load()
    return image.unfold(1, size, size).unfold(2, size, size).reshape(-1, 1, size, size)


def test_channels_of_edge_filters_show_edges():
    found = find_patches(EdgeFilters(), tiles(), "conv", patches=3)
    assert found.size == (4, 4)
    images = found.images[:, :, 0].astype(float) / 255
    assert found.seen.all()
    left_to_right = images[..., 2:].mean(axis=(2, 3)) - images[..., :2].mean(axis=(2, 3))
    top_to_bottom = images[..., 2:, :].mean(axis=(2, 3)) - images[..., :2, :].mean(axis=(2, 3))
    edges = np.stack([left_to_right[0], -left_to_right[1], top_to_bottom[2], -top_to_bottom[3]])
    assert (edges[:, :3] > 0.45).all()  # of a range of 1: from dark to bright, in the filter's direction
    assert (edges[:, 3:] < -0.45).all()
    np.testing.assert_allclose(found.values, 8 * edges, atol=0.05)  # what the filter adds up, 8 pixels on each side


def test_a_filter_and_its_negative_swap_what_excites_them():
    found = find_patches(EdgeFilters(), tiles(), "conv", patches=3)
    for one, other in ((0, 1), (2, 3)):
        np.testing.assert_array_equal(found.values[one, :3], -found.values[other, 3:])
        np.testing.assert_array_equal(found.samples[one, :3], found.samples[other, 3:])
        np.testing.assert_array_equal(found.images[one, :3], found.images[other, 3:])


def test_the_size_of_batches_does_not_matter_and_the_model_is_unchanged():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout(), nn.Conv2d(3, 4, 3, padding=1)).double()
    x, y = torch.rand(17, 1, 9, 9, dtype=torch.double), torch.arange(17)
    whole = find_patches(net, x, "2", classes=y)
    for part, expected in zip(find_patches(net, x, "2", classes=y, batch_size=4), whole, strict=True):
        np.testing.assert_array_equal(part, expected)
    np.testing.assert_array_equal(whole.classes, whole.samples)
    assert net.training
    assert not net[2]._forward_hooks


def test_what_cannot_be_searched():
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(ValueError, match="expected 2 to return maps of shape"):
        find_patches(net, torch.rand(3, 1, 4, 4), "2")
    with pytest.raises(ValueError, match="the model has no layer 'conv9'"):
        find_patches(net, torch.rand(3, 1, 4, 4), "conv9")
    with pytest.raises(ValueError, match="expected images of shape"):
        find_patches(net, torch.rand(3, 4), "0")
