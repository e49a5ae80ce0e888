import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from helpers.reading import frames, written
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from lightning_cnnviz.functional.kernels import check_channel, conv_weight, kernel_grid

PALETTE = np.round(matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, 201))[:, :3] * 255)
MAGENTA = [255, 0, 255]


pytestmark = pytest.mark.usefixtures("no_warnings")


def weights_in(cell, height, width, limit):
    """The weights that a cell shows, from the middle of each weight's square."""
    tall, wide = cell.shape[0] // height, cell.shape[1] // width
    assert cell.shape[:2] == (height * tall, width * wide)
    assert (cell == cell[::tall, ::wide].repeat(tall, 0).repeat(wide, 1)).all()
    pixels = cell[tall // 2 :: tall, wide // 2 :: wide].astype(float)
    index = np.abs(pixels[..., None, :] - PALETTE).sum(-1).argmin(-1)
    return (index - 100) / 100 * limit


def assert_shows(picture, expected, limits):
    found = frames(picture)
    assert len(found) == len(expected)
    for cell, kernel, limit in zip(found, expected, limits, strict=True):
        assert max(cell.shape[:2]) >= 24
        assert np.abs(weights_in(cell, *kernel.shape, limit) - kernel).max() <= limit / 200 * 1.001


# ---- conv_weight: kernel (o, i) is what input channel i adds to output channel o


def response(layer, channel, size):
    """What a unit impulse in the middle of one input channel gives, without the bias."""
    impulse = torch.zeros(1, layer.in_channels, *[size] * (layer.weight.ndim - 2), dtype=torch.float64)
    impulse[(0, channel, *[size // 2] * (layer.weight.ndim - 2))] = 1
    return layer(impulse)[0].detach().numpy()


CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSED = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]


@pytest.mark.parametrize("kind", CONVOLUTIONS + TRANSPOSED)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_kernel_is_the_impulse_response_from_its_input_to_its_output_channel(kind, groups):
    torch.manual_seed(0)
    layer = kind(4, 8, 3, groups=groups, bias=False).double()
    transposed = kind in TRANSPOSED
    weight = conv_weight(layer).detach().numpy()
    assert weight.shape[:2] == (8, 4 // groups)
    for channel in range(4):
        outputs = response(layer, channel, 5)
        # Around the impulse a convolution, which is a correlation, shows its kernel mirrored.
        around = outputs[(slice(None), *[slice(2, 5) if transposed else slice(0, 3)] * (outputs.ndim - 1))]
        seen = around if transposed else np.flip(around, tuple(range(1, outputs.ndim)))
        group, place = divmod(channel, 4 // groups)
        for output in range(8):
            reached = output // (8 // groups) == group
            expected = weight[output, place] if reached else np.zeros_like(seen[output])
            assert np.allclose(seen[output], expected, atol=1e-12)


@pytest.mark.parametrize("kernel", [(2, 5), (5, 2)])
def test_sides_of_a_kernel_keep_their_order(kernel):
    assert conv_weight(nn.ConvTranspose2d(4, 6, kernel, groups=2)).shape == (6, 2, *kernel)
    assert conv_weight(nn.Conv2d(4, 6, kernel, groups=2)).shape == (6, 2, *kernel)


def test_depthwise_kernels_have_one_input_channel():
    assert conv_weight(nn.Conv2d(6, 12, 3, groups=6)).shape == (12, 1, 3, 3)


@pytest.mark.parametrize("layer", [nn.Linear(3, 4), nn.ReLU()])
def test_no_convolution_is_refused_by_name(layer):
    with pytest.raises(TypeError, match=f"expected a convolution .* got {type(layer).__name__}"):
        conv_weight(layer)


# ---- the picture


@pytest.mark.parametrize("count", [1, 6, 8, 9, 20])
@pytest.mark.parametrize("size", [(5, 5), (3, 3), (1, 1), (2, 7), (7, 1)])
def test_every_kernel_can_be_read_off_the_picture(count, size):
    weight = np.random.default_rng(0).normal(size=(count, 1, *size))
    assert_shows(kernel_grid(weight), weight[:, 0], [np.abs(weight).max()] * count)


def test_a_chosen_input_channel_is_shown():
    weight = np.random.default_rng(0).normal(size=(6, 4, 3, 3))
    for channel in range(4):
        shown = weight[:, channel]
        assert_shows(kernel_grid(weight, channel=channel), shown, [np.abs(shown).max()] * 6)
    assert np.array_equal(kernel_grid(weight), kernel_grid(weight, channel=0))


def test_mean_over_input_channels_is_shown():
    weight = np.random.default_rng(0).normal(size=(6, 4, 3, 3))
    shown = weight.mean(axis=1)
    assert_shows(kernel_grid(weight, channel="mean"), shown, [np.abs(shown).max()] * 6)


def test_each_kernel_may_have_its_own_scale():
    weight = np.random.default_rng(0).normal(size=(6, 1, 3, 3)) * 10.0 ** np.arange(6).reshape(6, 1, 1, 1)
    assert_shows(kernel_grid(weight, scale="kernel"), weight[:, 0], np.abs(weight).max(axis=(1, 2, 3)))


@pytest.mark.parametrize("scale", ["layer", "kernel"])
def test_three_input_channels_are_red_green_and_blue(scale):
    weight = np.random.default_rng(0).normal(size=(7, 3, 4, 4)) * np.arange(1, 8).reshape(7, 1, 1, 1)
    picture = kernel_grid(weight, scale=scale)
    found = frames(picture)
    assert len(found) == 7
    for cell, kernel in zip(found, weight, strict=True):
        limit = np.abs(weight if scale == "layer" else kernel).max()
        factor = cell.shape[0] // 4
        shown = (cell[::factor, ::factor] / 127.5 - 1) * limit
        assert np.abs(shown - kernel.transpose(1, 2, 0)).max() <= limit / 127.5 * 0.51
    assert np.array_equal(picture, kernel_grid(weight, scale=scale, channel="rgb"))


def test_one_dimensional_kernels_are_strips():
    weight = np.random.default_rng(0).normal(size=(5, 2, 9))
    assert_shows(kernel_grid(weight, channel=1), weight[:, 1, None], [np.abs(weight[:, 1]).max()] * 5)


def test_strips_of_long_kernels_stay_visible():
    found = frames(kernel_grid(np.random.default_rng(0).normal(size=(4, 1, 251))))
    assert len(found) == 4
    assert all(len(cell) >= 8 for cell in found)


def test_slices_of_three_dimensional_kernels_stand_side_by_side():
    weight = np.random.default_rng(0).normal(size=(4, 1, 3, 2, 5))
    limit = np.abs(weight).max()
    found = frames(kernel_grid(weight))
    assert len(found) == 4
    for cell, kernel in zip(found, weight[:, 0], strict=True):
        inner = cell[~(cell == 120).all(axis=(1, 2))]
        lines = np.flatnonzero((inner == 120).all(axis=(0, 2)))
        parts = np.split(inner, np.unique([lines, lines + 1]), axis=1)
        slices = [part for part in parts if part.size and not (part == 120).all()]
        assert len(slices) == 3
        for shown, part in zip(slices, kernel, strict=True):
            assert np.abs(weights_in(shown, 2, 5, limit) - part).max() <= limit / 200 * 1.001


def test_dtype_and_device_of_the_weight_do_not_matter():
    weight = torch.randint(-4, 5, (6, 1, 3, 3), generator=torch.Generator().manual_seed(0)).float()
    expected = kernel_grid(weight.numpy())
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        assert np.array_equal(kernel_grid(nn.Parameter(weight.to(dtype))), expected)


def test_all_zero_kernels_are_neutral():
    for cell in frames(kernel_grid(np.zeros((4, 1, 3, 3)))):
        assert (cell == cell[0, 0, 0]).all()
        assert cell[0, 0, 0] > 200


def test_non_finite_weights_are_magenta_and_leave_the_scale_to_the_others():
    weight = np.random.default_rng(0).normal(size=(3, 1, 3, 3))
    weight[0, 0, 1, 1], weight[1, 0, 0, 2] = np.nan, -np.inf
    limit = np.abs(weight[np.isfinite(weight)]).max()
    found = frames(kernel_grid(weight))
    for cell, kernel in zip(found, weight[:, 0], strict=True):
        shown = weights_in(cell, 3, 3, limit)
        finite = np.isfinite(kernel)
        assert np.abs(shown - kernel)[finite].max() <= limit / 200 * 1.001
        factor = cell.shape[0] // 3
        assert ((cell[::factor, ::factor] == MAGENTA).all(-1) == ~finite).all()


@pytest.mark.parametrize("channel", ["rgb", "mean"])
def test_opposite_infinities_that_meet_in_one_pixel_are_magenta(channel):
    weight = np.ones((2, 3, 2, 2))
    weight[0, :, 0, 0] = np.inf, -np.inf, 0
    first, second = frames(kernel_grid(weight, channel=channel))
    assert first[0, 0].tolist() == MAGENTA
    assert not (second == MAGENTA).all(-1).any()


def test_the_number_of_non_finite_weights_is_written():
    weight = np.ones((2, 1, 3, 3))
    assert not written(kernel_grid(weight), "magenta")
    weight[0, 0, 0, 0] = np.nan
    weight[1, 0, :2, 0] = np.inf
    assert written(kernel_grid(weight), "3 non-finite weights (magenta)")


def test_beyond_the_cap_the_first_kernels_are_drawn_and_the_rest_is_announced():
    weight = np.random.default_rng(0).normal(size=(12, 1, 5, 5))
    capped, alone = kernel_grid(weight, max_kernels=8), kernel_grid(weight[:8])
    assert_shows(capped, weight[:8, 0], [np.abs(weight[:8]).max()] * 8)
    for one, other in zip(frames(capped), frames(alone), strict=True):
        assert np.array_equal(one, other)
    assert written(capped, "8 of 12 kernels, 4 left out")
    assert written(alone, "8 kernels")
    assert not written(alone, "left out")


def test_a_cap_that_does_not_bite_changes_nothing():
    weight = np.random.default_rng(0).normal(size=(12, 1, 5, 5))
    assert np.array_equal(kernel_grid(weight, max_kernels=12), kernel_grid(weight))


def test_title_and_channel_are_written():
    weight = np.random.default_rng(0).normal(size=(6, 1, 5, 5)).repeat(2, axis=1)
    plain, titled = kernel_grid(weight), kernel_grid(weight, title="conv1 · step 3")
    assert written(titled, "conv1 · step 3", size=15)
    assert written(plain, "6 kernels · input channel 0 of 2")
    assert written(kernel_grid(weight, channel=1), "6 kernels · input channel 1 of 2")
    assert written(kernel_grid(weight, channel="mean"), "6 kernels · mean of 2 input channels")


def test_the_scale_of_the_colours_is_written():
    weight = np.random.default_rng(0).normal(size=(6, 3, 5, 5))
    for channel, shown in (("rgb", weight), ("mean", weight.mean(axis=1)), (2, weight[:, 2])):
        limit = f"{np.abs(shown).max():.3g}"
        picture = kernel_grid(weight, channel=channel)
        assert written(picture, f"−{limit}")
        assert written(picture, f"+{limit}")
    assert written(kernel_grid(weight, scale="kernel"), "+max of each kernel")


# ---- with numbers


def numbered(weight, **options):
    return kernel_grid(weight, numbers=True, **options)


def test_numbers_stand_in_their_cells_in_ink_that_can_be_read():
    weight = np.array([[-1, -0.3, 0.0333], [1, 0, 1e-9]])[None, None]
    (cell,) = frames(numbered(weight))
    words = [["−1", "−0.3", "+0.033"], ["+1", "0", "+1e−09"]]
    side = cell.shape[1] // 3
    assert cell.shape[:2] == (2 * side, 3 * side)
    for row, column in itertools.product(range(2), range(3)):
        square = cell[row * side : (row + 1) * side, column * side : (column + 1) * side]
        expected = PALETTE[round(float(weight[0, 0, row, column]) * 100) + 100]
        assert np.abs(square[0, 0] - expected).max() <= 1
        ink = 255 if expected.mean() < 100 else 34
        canvas = Image.new("RGB", (side, side), tuple(int(part) for part in square[0, 0]))
        font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), 12)
        ImageDraw.Draw(canvas).text(
            (side // 2, side // 2), words[row][column], fill=(ink,) * 3, font=font, anchor="mm"
        )
        assert np.array_equal(square, np.asarray(canvas))


@pytest.mark.parametrize("shape", [(64, 1, 4, 4), (40, 2, 5, 5), (9, 1, 5), (4, 1, 3, 3, 3)])
def test_numbers_keep_every_kernel_and_its_colours(shape):
    weight = np.random.default_rng(0).normal(size=shape)
    picture = numbered(weight)
    assert not written(picture, "numbers left out: they take one channel and at most 1,024 weights")
    assert picture.shape[1] < 1700
    slices = weight[:, 0].reshape(-1, *weight.shape[-2:]) if len(shape) > 3 else weight
    deep = shape[2] if len(shape) == 5 else 1
    for index, cell in enumerate(frames(picture)):
        side = (cell.shape[1] + 1 - deep) // (shape[-1] * deep)
        kernel = slices[index * deep]  # of a deep one the first slice, which stands at the left
        corners = cell[2::side, 2::side][: len(kernel), : shape[-1]]
        expected = PALETTE[np.round(kernel / np.abs(weight[:, 0]).max() * 100).astype(int) + 100]
        assert np.abs(corners - expected).max() <= 12
    assert index == shape[0] - 1


@pytest.mark.parametrize(("shape", "options"), [((65, 1, 4, 4), {}), ((4, 3, 5, 5), {}), ((512, 1, 3, 3), {})])
def test_too_many_numbers_are_left_out_and_that_is_said(shape, options):
    weight = np.random.default_rng(0).normal(size=shape)
    picture = numbered(weight, **options)
    assert written(picture, "numbers left out: they take one channel and at most 1,024 weights")
    for one, other in zip(frames(picture), frames(kernel_grid(weight, **options)), strict=True):
        assert np.array_equal(one, other)


def test_512_kernels_are_drawn_and_stay_readable():
    weight = np.random.default_rng(0).normal(size=(512, 1, 3, 3))
    picture = kernel_grid(weight)
    assert_shows(picture, weight[:, 0], [np.abs(weight).max()] * 512)
    assert max(picture.shape[:2]) < 2000


@pytest.mark.parametrize("shape", [(1500, 1, 3, 3), (512, 1, 3, 3, 3), (1500, 1, 2, 2)])
def test_kernels_stay_readable_however_many_there_are(shape):
    weight = np.random.default_rng(0).normal(size=shape)
    found = frames(kernel_grid(weight, max_kernels=2000))
    assert len(found) == shape[0]
    assert all(max(cell.shape[0], cell.shape[1] / (3 if len(shape) == 5 else 1)) >= 24 for cell in found)


def test_the_weight_is_left_as_it_is():
    weight = np.random.default_rng(0).normal(size=(6, 3, 3, 3)).astype(np.float32)
    weight[0, 0, 0, 0] = np.nan
    before = weight.copy()
    kernel_grid(weight)
    kernel_grid(weight, channel="mean")
    assert np.array_equal(weight, before, equal_nan=True)


# ---- what does not fit


@pytest.mark.parametrize("shape", [(4,), (4, 3), (1, 1, 1, 1, 1, 1)])
def test_a_weight_of_another_rank_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected a weight of shape \(out, in, \*kernel\).* got \("):
        kernel_grid(np.zeros(shape))


@pytest.mark.parametrize("channel", [2, 100])
def test_a_channel_that_does_not_exist_is_refused_with_how_many_there_are(channel):
    with pytest.raises(ValueError, match=f"channel={channel} does not exist, this layer has 2 input channels"):
        kernel_grid(np.zeros((4, 2, 3, 3)), channel=channel)


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_rgb_needs_three_channels_and_says_what_else_to_take(inputs):
    with pytest.raises(ValueError, match=f'three input channels, this layer has {inputs}; use a number or "mean"'):
        check_channel("rgb", inputs)
    with pytest.raises(ValueError, match="needs three input channels"):
        kernel_grid(np.zeros((4, inputs, 3, 3)), channel="rgb")


@pytest.mark.parametrize("channel", ["auto", "mean", 0, 2])
def test_channels_that_exist_pass(channel):
    assert check_channel(channel, 3) is None


@pytest.mark.parametrize(
    ("argument", "value"), [("channel", "RGB"), ("scale", "network"), ("max_kernels", 0), ("max_kernels", -1)]
)
def test_an_impossible_argument_is_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        kernel_grid(np.zeros((4, 3, 3, 3)), **{argument: value})
