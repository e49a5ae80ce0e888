import matplotlib
import numpy as np
import pytest
import torch
from helpers.reading import frames, written

from lightning_cnnviz.functional.feature_map_grid import feature_maps, mean_maps

VIRIDIS = np.round(matplotlib.colormaps["viridis"](np.linspace(0, 1, 201))[:, :3] * 255)
RED_BLUE = np.round(matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, 201))[:, :3] * 255)
MAGENTA = [255, 0, 255]
# Half a colour is lost by rounding, and where two neighbours of the palette look the same, one more.
ONE_COLOUR = 1.51 / 200


pytestmark = pytest.mark.usefixtures("no_warnings")


def shrunk(cell, height, width):
    """One pixel per activation, where each is drawn as a block of equal pixels."""
    tall, wide = cell.shape[0] // height, cell.shape[1] // width
    assert cell.shape[:2] == (height * tall, width * wide)
    assert (cell == cell[::tall, ::wide].repeat(tall, 0).repeat(wide, 1)).all()
    return cell[::tall, ::wide].astype(float)


def index_in(palette, pixels):
    return np.abs(pixels[..., None, :] - palette).sum(-1).argmin(-1)


def unsigned(cell, height, width, low, high):
    return low + index_in(VIRIDIS, shrunk(cell, height, width)) / 200 * (high - low)


def signed(cell, height, width, limit):
    return (index_in(RED_BLUE, shrunk(cell, height, width)) - 100) / 100 * limit


def samples(count):
    """Inputs in which no pixel has the grey of the frames, and captions."""
    levels = np.random.default_rng(1).permuted(
        np.linspace([0, 200], [50, 255], 32).reshape(1, 64).repeat(count, 0), axis=1
    )
    return levels.reshape(count, 1, 8, 8), [[f"true: {number}"] for number in range(count)]


# ---- the channels of a layer


@pytest.mark.parametrize("offset", [0.0, 3.0, -9.0])
@pytest.mark.parametrize("channels", [1, 6, 9, 20])
def test_activations_of_one_sign_can_be_read_off_the_picture(channels, offset):
    maps = np.random.default_rng(0).uniform(size=(2, channels, 6, 7)) + offset
    low, high = maps.min(), maps.max()
    found = frames(feature_maps(maps, *samples(2)))
    assert len(found) == 2 * (1 + channels)
    for sample, cells in zip(maps, (found[: 1 + channels], found[1 + channels :]), strict=True):
        for channel, cell in zip(sample, cells[1:], strict=True):
            assert np.abs(unsigned(cell, 6, 7, low, high) - channel).max() <= (high - low) * ONE_COLOUR


def test_activations_of_both_signs_are_blue_white_and_red_around_zero():
    maps = np.random.default_rng(0).normal(size=(2, 5, 4, 4))
    maps[:, 2] = 0
    limit = np.abs(maps).max()
    found = frames(feature_maps(maps, *samples(2)))
    for sample, cells in zip(maps, (found[:6], found[6:]), strict=True):
        for channel, cell in zip(sample, cells[1:], strict=True):
            assert np.abs(signed(cell, 4, 4, limit) - channel).max() <= limit / 200 * 1.01
        neutral = cells[1 + 2]
        assert (neutral == neutral[0, 0, 0]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_any_dtype_give_the_same_picture(dtype):
    maps = torch.randint(0, 9, (1, 3, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    images, captions = samples(1)
    expected = feature_maps(maps.numpy(), images, captions)
    assert np.array_equal(feature_maps(maps.to(dtype).requires_grad_(), torch.from_numpy(images), captions), expected)


def test_the_scale_of_the_colours_is_written():
    maps = np.random.default_rng(0).uniform(size=(1, 3, 4, 4))
    picture = feature_maps(maps, *samples(1))
    assert written(picture, f"{maps.min():.3g}")
    assert written(picture, f"{maps.max():.3g}")
    maps -= 0.25
    picture = feature_maps(maps, *samples(1))
    assert written(picture, f"{-np.abs(maps).max():.3g}")
    assert written(picture, f"{np.abs(maps).max():.3g}")


def test_the_input_stands_before_its_maps():
    maps = np.random.default_rng(0).uniform(size=(2, 3, 4, 4))
    images, captions = samples(2)
    found = frames(feature_maps(maps, images, captions))
    for image, cell in zip(images[:, 0], (found[0], found[4]), strict=True):
        assert np.abs(shrunk(cell, 8, 8) - image[..., None]).max() <= 0.51


def test_captions_are_written_under_their_sample():
    maps, (images, _) = np.ones((2, 3, 4, 4)), samples(2)
    cat_dog = feature_maps(maps, images, [["true: cat"], ["true: dog"]])
    dog_cat = feature_maps(maps, images, [["true: dog"], ["true: cat"]])
    changed = np.flatnonzero((cat_dog != dog_cat).any(axis=(1, 2)))
    assert len(changed)
    assert (cat_dog != dog_cat).any(axis=(0, 2))[150:].sum() == 0  # left of the maps
    two_lines = feature_maps(maps, images, [["true: cat", "pred: cat"], ["true: dog", "pred: cat"]])
    assert len(two_lines) > len(cat_dog)


def test_beyond_the_cap_the_first_channels_are_drawn_and_the_rest_is_announced():
    maps = np.random.default_rng(0).uniform(size=(1, 12, 4, 4))
    capped, alone = feature_maps(maps, *samples(1), max_channels=5), feature_maps(maps[:, :5], *samples(1))
    assert len(frames(capped)) == 1 + 5
    for one, other in zip(frames(capped), frames(alone), strict=True):
        assert np.array_equal(one, other)
    assert written(capped, "5 of 12 channels, 7 left out")
    assert written(alone, "5 channels")
    assert not written(alone, "left out")


@pytest.mark.parametrize(
    ("shape", "height", "width"), [((2, 6), 1, 1), ((2, 6, 9), 1, 9), ((2, 6, 4, 5), 4, 5), ((2, 6, 3, 4, 5), 4, 5)]
)
def test_activations_of_every_rank_are_drawn(shape, height, width):
    maps = np.random.default_rng(0).uniform(size=shape)
    flat = (maps[:, :, shape[2] // 2] if len(shape) == 5 else maps).reshape(2, 6, height, width)
    low, high = flat.min(), flat.max()
    found = frames(feature_maps(maps, *samples(2)))
    assert len(found) == 2 * 7
    for channel, cell in zip(flat[1], found[8:], strict=True):
        assert np.abs(unsigned(cell, height, width, low, high) - channel).max() <= (high - low) * ONE_COLOUR


def test_non_finite_activations_are_magenta_and_leave_the_scale_to_the_others():
    maps = np.random.default_rng(0).uniform(size=(1, 3, 4, 4))
    clean = feature_maps(maps, *samples(1))
    maps[0, 0, 1, 2], maps[0, 1, 0, 0], maps[0, 2, 3, 3] = np.nan, np.inf, -np.inf
    finite = np.isfinite(maps[0])
    low, high = maps[0][finite].min(), maps[0][finite].max()
    broken = feature_maps(maps, *samples(1))
    assert written(broken, "3 non-finite values (magenta)")
    assert not written(clean, "magenta")
    for channel, there, cell in zip(maps[0], finite, frames(broken)[1:], strict=True):
        assert ((shrunk(cell, 4, 4) == MAGENTA).all(-1) == ~there).all()
        shown = unsigned(cell, 4, 4, low, high)
        assert np.abs(shown - channel)[there].max() <= (high - low) * ONE_COLOUR


def test_a_layer_without_any_finite_value_is_all_magenta():
    for cell in frames(feature_maps(np.full((1, 3, 4, 4), np.nan), *samples(1)))[1:]:
        assert (cell == MAGENTA).all()


@pytest.mark.parametrize("constant", [0.0, 2.5, -1.0])
def test_constant_activations_are_one_colour(constant):
    for cell in frames(feature_maps(np.full((1, 3, 4, 4), constant), *samples(1)))[1:]:
        assert (cell == cell[0, 0]).all()


def test_large_maps_are_averaged_down_without_losing_their_proportions():
    maps = np.zeros((1, 1, 300, 150))
    maps[:, :, :150] = 1
    cell = frames(feature_maps(maps, *samples(1)))[1]
    height, width = cell.shape[:2]
    assert height <= 96
    assert abs(height - 2 * width) <= 1
    assert np.abs(cell[: height // 2 - 1] - VIRIDIS[-1]).max() <= 1
    assert np.abs(cell[height // 2 + 1 :] - VIRIDIS[0]).max() <= 1


@pytest.mark.parametrize(
    ("side", "channels", "expected"),
    [(8, 4, 96), (28, 8, 84), (224, 1, 220), (224, 4, 220), (224, 8, 110), (224, 64, 55)],
)
def test_photographs_and_their_maps_get_the_room_there_is(side, channels, expected):
    rng = np.random.default_rng(0)
    image, maps = rng.random((1, 1, side, side)), rng.random((1, channels, side, side))
    photo, *tiles = frames(feature_maps(maps, image, [[]], max_channels=64))
    assert {cell.shape[:2] for cell in tiles} == {(expected, expected)}
    assert len(photo) == (96 if side == 8 else 84 if side == 28 else max(96, expected))
    overview = frames(mean_maps({"conv": maps}, image, [[]]))
    assert overview[1].shape[0] == (220 if side == 224 else len(photo))


def test_long_strips_stay_visible():
    maps = np.random.default_rng(0).uniform(size=(1, 2, 1000))
    assert all(len(cell) >= 8 for cell in frames(feature_maps(maps, *samples(1)))[1:])


@pytest.mark.parametrize(("images", "captions", "activations"), [(2, 3, 3), (3, 2, 3), (3, 3, 2)])
def test_different_numbers_of_samples_are_refused_with_all_three(images, captions, activations):
    message = f"got {images} images, {captions} captions and {activations} activations"
    with pytest.raises(ValueError, match=message):
        feature_maps(np.ones((activations, 2, 3, 3)), np.ones((images, 1, 3, 3)), [[]] * captions)
    with pytest.raises(ValueError, match=message):
        mean_maps({"conv": np.ones((activations, 2, 3, 3))}, np.ones((images, 1, 3, 3)), [[]] * captions)


def test_activations_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"expected 2 to 5 dimensions .* got shape \(1, 1, 1, 1, 1, 1\)"):
        feature_maps(np.ones((1, 1, 1, 1, 1, 1)), *samples(1))


@pytest.mark.parametrize("cap", [0, -1])
def test_an_impossible_cap_is_refused_by_name(cap):
    with pytest.raises(ValueError, match="max_channels"):
        feature_maps(np.ones((1, 2, 3, 3)), *samples(1), max_channels=cap)


# ---- one map per layer


def test_mean_over_channels_can_be_read_off_the_overview():
    rng = np.random.default_rng(0)
    layers = {"conv1": rng.normal(size=(2, 3, 6, 6)), "conv2": 1e5 * rng.uniform(size=(2, 8, 3, 4))}
    found = frames(mean_maps(layers, *samples(2)))
    assert len(found) == 2 * 3
    for index in range(2):
        for maps, cell in zip(layers.values(), found[3 * index + 1 : 3 * index + 3], strict=True):
            mean = maps[index].mean(axis=0)
            shown = unsigned(cell, *mean.shape, mean.min(), mean.max())
            assert np.abs(shown - mean).max() <= (mean.max() - mean.min()) * ONE_COLOUR


def test_many_layers_take_several_rows_in_the_order_of_the_network():
    rng = np.random.default_rng(0)
    layers = {f"conv{number}": rng.uniform(size=(1, 2, 4, 4)) for number in range(19)}
    found = frames(mean_maps(layers, *samples(1)))
    assert len(found) == 1 + 19
    for maps, cell in zip(layers.values(), found[1:], strict=True):
        mean = maps[0].mean(axis=0)
        assert (
            np.abs(unsigned(cell, 4, 4, mean.min(), mean.max()) - mean).max() <= (mean.max() - mean.min()) * ONE_COLOUR
        )


def test_layers_are_named():
    maps = np.random.default_rng(0).uniform(size=(1, 2, 4, 4))
    one, other = (mean_maps({name: maps}, *samples(1)) for name in ("conv1", "conv2"))
    assert one.shape == other.shape
    assert not np.array_equal(one, other)


def test_the_overview_marks_pixels_whose_mean_is_not_finite():
    maps = np.random.default_rng(0).uniform(size=(1, 2, 4, 4))
    maps[0, 0, 1, 1], maps[0, 1, 2, 3] = np.nan, np.inf
    cell = shrunk(frames(mean_maps({"conv": maps}, *samples(1)))[1], 4, 4)
    assert np.argwhere((cell == MAGENTA).all(-1)).tolist() == [[1, 1], [2, 3]]


def test_the_overview_survives_opposite_infinities_in_one_pixel():
    maps = np.ones((1, 2, 2, 2))
    maps[0, :, 0, 0] = np.inf, -np.inf
    cell = shrunk(frames(mean_maps({"conv": maps}, *samples(1)))[1], 2, 2)
    assert np.argwhere((cell == MAGENTA).all(-1)).tolist() == [[0, 0]]


def test_an_overview_of_no_layer_is_refused_in_words():
    with pytest.raises(ValueError, match="layer"):
        mean_maps({}, *samples(1))


# ---- maps larger than they are drawn


def board_and_ramp():
    """Maps of 448×448: a checkerboard of −1 and +1, whose means are 0, and a ramp from −1 to +1."""
    place = np.arange(448)
    board = np.add.outer(place, place) % 2 * 2.0 - 1
    return np.stack([board, np.broadcast_to(np.linspace(-1, 1, 448), (448, 448))])[None]


def test_values_are_averaged_and_not_their_colours():
    maps = board_and_ramp()
    picture = feature_maps(maps, np.zeros((1, 1, 448, 448)), [[]])
    assert written(picture, "maps of 448×448 reduced by averaging")
    assert not written(feature_maps(maps[..., :96, :96], *samples(1)), "averaging")
    _, board, ramp = frames(picture)
    assert board.shape == ramp.shape == (220, 220, 3)
    # The mean of blue and red is white: zero, but where three pixels become one.
    assert (np.abs(index_in(RED_BLUE, board.astype(float)) - 100) <= 100 / 9 + 1).all()
    assert (board == 247).all(-1).mean() > 0.9
    means = maps[0, 1].reshape(448, 448)[0]
    expected = np.interp((np.arange(220) + 0.5) * 448 / 220 - 0.5, np.arange(448), means)
    assert np.abs((index_in(RED_BLUE, ramp[0].astype(float)) - 100) / 100 - expected).max() < 0.02


def test_in_the_overview_the_scale_is_that_of_the_values_before_they_are_averaged():
    maps = board_and_ramp()
    picture = mean_maps({"board": maps[:, :1], "ramp": maps[:, 1:]}, np.zeros((1, 1, 448, 448)), [[]])
    assert written(picture, "maps of 448×448 reduced by averaging")
    _, board, ramp = frames(picture)
    assert (np.abs(index_in(VIRIDIS, board.astype(float)) - 100) <= 100 / 9 + 1).all()  # ±1 would be dark and bright
    index = index_in(VIRIDIS, ramp[0].astype(float))
    assert index[0] <= 1
    assert index[-1] >= 199
    assert np.abs(np.diff(index) - 200 / 219).max() < 1.1


def test_what_is_not_finite_stays_visible_in_a_map_that_is_reduced():
    maps = board_and_ramp()
    maps[0, 0, 100, 200], maps[0, 1, 300, 40] = np.nan, np.inf
    cells = frames(feature_maps(maps, np.zeros((1, 1, 448, 448)), [[]]))[1:]
    for cell, (row, column) in zip(cells, ((100, 200), (300, 40)), strict=True):
        rows, columns = np.nonzero((cell == MAGENTA).all(-1))
        assert 1 <= len(rows) <= 9
        assert np.abs(rows - row * 220 / 448).max() <= 1.5
        assert np.abs(columns - column * 220 / 448).max() <= 1.5


# ---- signals


def test_raw_audio_is_drawn_as_a_wave_and_not_as_a_black_square():
    time = np.linspace(0, 1, 4000, endpoint=False)
    audio = np.stack([np.sin(2 * np.pi * pitch * time) for pitch in (2, 7)])
    maps = np.random.default_rng(0).random((2, 3, 50))
    for picture in (
        feature_maps(maps, audio, [["low"], ["high"]]),
        mean_maps({"c": maps}, audio, [["low"], ["high"]]),
    ):
        waves = [cell for cell in frames(picture) if cell.shape == (48, 96, 3)]
        assert len(waves) == 2
        for wave, pitch in zip(waves, (2, 7), strict=True):
            top = (wave[:5] == 34).all(-1).any(axis=0)
            assert np.count_nonzero(np.diff(top.astype(int)) == 1) == pitch  # as many crests
