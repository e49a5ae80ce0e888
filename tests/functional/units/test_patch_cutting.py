"""Patches are the pixels that units depend on, and the maps around these units."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.units.patch_cutting import BatchImages, PatchCutter, seen_pixels
from lightning_cnnviz.model.field_axis import Axis
from lightning_cnnviz.model.receptive_field import ReceptiveField, unknown_field

AXES = [Axis.of_image(size).windows(kernel, 1, kernel // 2, 1, size) for size, kernel in ((9, 3), (7, 5))]
FIELD = ReceptiveField(*AXES, "geometry")
IMAGES = torch.rand(4, 2, 9, 7, generator=torch.Generator().manual_seed(0))
MAPS = torch.rand(4, 9, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("row", "column"), [(4, 3), (0, 0), (8, 6), (1, 5)])
def test_a_patch_is_what_its_unit_sees_and_the_map_lies_over_it(row, column):
    cutter, place = PatchCutter(FIELD, torch.device("cpu"), size=64), torch.tensor([7 * row + column])
    padded = torch.nn.functional.pad(IMAGES[2], (2, 2, 1, 1))
    seen = seen_pixels(FIELD, torch.tensor([[row, column]]), (3, 5))[0]
    cut = cutter.images(BatchImages(IMAGES), torch.tensor([2]), place)[0]
    assert torch.equal(cut * seen, padded[:, row : row + 3, column : column + 5] * seen)
    inside = torch.nn.functional.pad(torch.ones(9, 7), (2, 2, 1, 1))[row : row + 3, column : column + 5]
    assert torch.equal(seen, inside.bool())
    around = torch.nn.functional.pad(MAPS[2], (2, 2, 1, 1), value=torch.nan)[row : row + 3, column : column + 5]
    np.testing.assert_array_equal(cutter.maps(MAPS[2:3], place)[0], around)


def test_of_an_unknown_field_patch_and_map_are_whole_and_large_ones_are_averaged():
    cutter = PatchCutter(unknown_field((9, 7), (9, 7)), torch.device("cpu"), size=3)
    images = BatchImages((255 * IMAGES).byte())
    cut = cutter.images(images, torch.tensor([1, 0]), torch.tensor([5, 60]))
    assert cut.shape == (2, 2, 3, 2)
    assert torch.equal(cutter.maps(MAPS[:2], torch.tensor([5, 60])), MAPS[:2])
    assert cut.mean() == pytest.approx(float((255 * IMAGES[:2]).byte().float().mean()), rel=0.05)
