import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.functional.drawing.colours import SEQUENTIAL
from lightning_cnnviz.functional.units.patch_search import find_patches
from lightning_cnnviz.functional.units.patch_sheet import OUTSIDE, patch_sheet


def brightness(kernel=3, **options):
    """Channels that add up what they see, and its negative; samples are ever brighter."""
    net = nn.Sequential(nn.Conv2d(1, 2, kernel, bias=False, **options))
    with torch.no_grad():
        net[0].weight[0] = 1
        net[0].weight[1] = -1
    samples = torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 1, 8, 8)
    return find_patches(net, samples.contiguous(), "0", classes=torch.arange(6), patches=2)


def pixels(picture, colour):
    return int(np.all(picture == colour, axis=2).sum())


def test_each_channel_has_its_row_and_each_patch_its_cell():
    found = brightness()
    one = found._replace(**{name: getattr(found, name)[:1] for name in ("values", "samples", "places", "boxes")})
    one = one._replace(classes=found.classes[:1], images=found.images[:1], seen=found.seen[:1], maps=found.maps[:1])
    row = patch_sheet(found).shape[0] - patch_sheet(one).shape[0]
    assert 150 < row < 220


def test_the_brightest_patch_is_white_and_its_heat_the_brightest():
    found = brightness()
    assert found.samples[0].tolist() == [5, 4, 0, 1]
    assert found.samples[1].tolist() == [0, 1, 5, 4]
    alike = found._replace(maps=np.broadcast_to(found.values[..., None, None], found.maps.shape))
    picture = patch_sheet(alike)
    for colour in (SEQUENTIAL[0], SEQUENTIAL[-1]):
        assert pixels(picture, colour) >= 2 * 60 * 60  # of each channel a whole heat map at either end


def test_what_is_outside_is_checked():
    assert brightness().seen.all()
    found = brightness(padding=1)
    assert not found.seen.all()
    more = pixels(patch_sheet(found), (OUTSIDE,) * 3) - pixels(
        patch_sheet(found._replace(seen=np.ones_like(found.seen))), (OUTSIDE,) * 3
    )
    assert more == pytest.approx(
        (~found.seen).sum() * 21**2 / 2, rel=0.1
    )  # a pixel is drawn as 21×21, half of them dark


def test_names_and_notes_change_the_picture_and_missing_classes_are_said():
    found = brightness()
    plain = patch_sheet(found)
    assert not np.array_equal(plain, patch_sheet(found, ["a", "b", "c", "d", "e", "f"]))
    assert patch_sheet(found, title="conv1", note="a note").shape[0] > plain.shape[0]
    unknown = patch_sheet(found._replace(classes=np.full_like(found.classes, -1)))
    assert unknown.shape[0] != plain.shape[0]  # a line of text instead of one under each patch


@pytest.mark.parametrize(("source", "whole"), [("geometry", True), ("gradient", False), ("unknown", True)])
def test_the_picture_says_where_the_size_is_from(source, whole):
    found = brightness()
    assert patch_sheet(found._replace(source=source, whole=whole, non_finite=3)).ndim == 3


def test_places_without_a_patch_stay_empty():
    found = brightness()
    values = found.values.copy()
    values[:, 1] = np.nan
    assert not np.array_equal(patch_sheet(found._replace(values=values)), patch_sheet(found))


def test_without_a_channel_there_is_nothing_to_draw():
    found = brightness()
    with pytest.raises(ValueError, match="at least one channel"):
        patch_sheet(found._replace(values=found.values[:0]))
