import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.units.patch_cutting import BatchImages
from lightning_cnnviz.functional.units.patch_ranking import PatchRanking
from lightning_cnnviz.model.field_axis import Axis
from lightning_cnnviz.model.receptive_field import ReceptiveField, unknown_field


def field(size, kernel):
    axis = Axis.of_image(size).windows(kernel, 1, kernel // 2, 1, size)
    return ReceptiveField(axis, axis, "geometry")


def ranked(maps, inputs, batches, patches=3, channels=4):
    ranking, first = PatchRanking(patches, channels), 0
    for some, images in zip(torch.split(maps, batches), torch.split(inputs, batches), strict=True):
        classes = torch.arange(first, first + len(some))
        ranking.commit(ranking.stage(some), BatchImages(images), classes, field(maps.shape[2], 3), first)
        first += len(some)
    return ranking.patches()


def data(samples=40, channels=6, size=7):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(-4, 5, (samples, channels, size, size), generator=generator).float()  # many are equal
    return maps, torch.rand(samples, 2, size, size, generator=generator)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_batches_of_any_size_give_what_all_samples_at_once_give(layout):
    maps, inputs = data()
    maps = maps.to(memory_format=layout)
    whole = ranked(maps, inputs, [40])
    for batches in ([1] * 40, [3, 7, 20, 10], [39, 1]):
        for part, expected in zip(ranked(maps, inputs, batches), whole, strict=True):
            np.testing.assert_array_equal(part, expected)
    order = np.argsort(-maps[:, 2].flatten(1).amax(1).numpy(), kind="stable")[:3]
    assert whole.samples[2, :3].tolist() == order.tolist()
    assert whole.classes[2, :3].tolist() == order.tolist()


def test_patches_and_heat_maps_stay_with_their_rank():
    maps, inputs = data()
    found = ranked(maps, inputs, [1] * 40)
    for channel in range(4):
        for place in range(6):
            sample, (row, column) = found.samples[channel, place], found.places[channel, place]
            assert maps[sample, channel, row, column] == found.values[channel, place]
            padded = torch.nn.functional.pad(maps[sample, channel], (1, 1, 1, 1), value=torch.nan)
            np.testing.assert_array_equal(found.maps[channel, place], padded[row : row + 3, column : column + 3])
            image = torch.nn.functional.pad(inputs[sample], (1, 1, 1, 1))[:, row : row + 3, column : column + 3]
            seen = found.seen[channel, place]
            np.testing.assert_array_equal(found.images[channel, place] * seen, image.numpy() * seen)
            assert seen.sum() == (3 - (row in (0, 6))) * (3 - (column in (0, 6)))


def test_what_is_not_committed_changes_nothing():
    maps, inputs = data()
    ranking = PatchRanking(3, 4)
    ranking.commit(ranking.stage(maps[:20]), BatchImages(inputs[:20]), None, field(7, 3), 0)
    before = ranking.patches()
    ranking.stage(maps[20:] + 100)
    for part, expected in zip(ranking.patches(), before, strict=True):
        np.testing.assert_array_equal(part, expected)


def test_with_fewer_samples_than_patches_the_rest_is_empty():
    maps, inputs = data(samples=2)
    found = ranked(maps, inputs, [1, 1])
    assert np.isnan(found.values[:, [2, 5]]).all()
    assert np.isfinite(found.values[:, [0, 1, 3, 4]]).all()
    assert (found.samples[:, [2, 5]] == -1).all()


def test_large_patches_are_averaged():
    inputs = torch.zeros(1, 1, 256, 128)
    inputs[..., :128, :] = 1
    ranking = PatchRanking(1, 1)
    ranking.commit(
        ranking.stage(torch.rand(1, 1, 4, 2)), BatchImages(inputs), None, unknown_field((4, 2), (256, 128)), 0
    )
    found = ranking.patches()
    assert found.images.shape == (1, 2, 1, 64, 32)
    assert found.images[0, 0, 0].mean(axis=1).tolist() == [1.0] * 32 + [0.0] * 32
    assert found.maps.shape == (1, 2, 4, 2)
    assert found.whole


@pytest.mark.parametrize(("most", "side"), [(None, 64), (2**20, 64), (2 * 3 * 33**2, 32), (1, 16)])
def test_the_more_patches_there_are_the_smaller_large_ones_become(most, side):
    ranking = PatchRanking(1, 1, most)
    whole = unknown_field((4, 4), (128, 128))
    ranking.commit(ranking.stage(torch.rand(1, 1, 4, 4)), BatchImages(torch.rand(1, 3, 128, 128)), None, whole, 0)
    assert ranking.patches().images.shape == (1, 2, 3, side, side)


def test_integer_inputs_and_half_precision():
    maps, inputs = data()
    whole = ranked(maps, inputs, [40])
    halves = ranked(maps.bfloat16(), (255 * inputs).to(torch.uint8), [40])
    np.testing.assert_array_equal(halves.samples, whole.samples)
    np.testing.assert_array_equal(halves.places, whole.places)


def test_maps_of_another_size_do_not_fit():
    maps, inputs = data()
    ranking = PatchRanking(3, 4)
    assert ranking.patches() is None
    ranking.commit(ranking.stage(maps), BatchImages(inputs), None, field(7, 3), 0)
    assert not ranking.fits(torch.rand(2, 6, 5, 5))
    with pytest.raises(ValueError, match=r"expected maps of \(7, 7\) as before, got \(5, 5\)"):
        ranking.stage(torch.rand(2, 6, 5, 5))
