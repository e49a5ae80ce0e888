"""Which axis holds the channels is told by what the first convolution receives, and by nothing else."""

import pytest
import torch

from lightning_cnnviz.data.image_axes import ImageAxes


def settled(inputs, received):
    axes = ImageAxes()
    axes.settle(inputs, received)
    return axes.are_last(inputs)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x / 255,
        lambda x: (x - 0.4) / torch.tensor([0.2, 0.3, 0.25, 0.5])[: x.shape[1], None, None],
        lambda x: x.bfloat16(),
        lambda x: x.contiguous(memory_format=torch.channels_last),
    ],
    ids=["as they are", "divided", "normalised", "rounded", "in another order in memory"],
)
def test_a_permutation_is_recognised_behind_a_scale_and_a_shift(channels, change):
    last = torch.rand(5, 9, 7, channels)
    assert settled(last, change(last.permute(0, 3, 1, 2))) is True
    narrow = torch.rand(5, channels, 9, 4)
    assert settled(narrow, change(narrow)) is False


def test_bytes_are_images_too():
    last = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    assert settled(last, last.permute(0, 3, 1, 2).float() / 255) is True


@pytest.mark.parametrize(
    "received",
    [
        lambda x: x.permute(0, 3, 2, 1),  # rows and columns have changed places
        lambda x: x.reshape(len(x), 3, 8, 8),  # channels are mixed up
        lambda x: x.permute(0, 3, 1, 2).flip(1),
        lambda x: x.permute(0, 3, 1, 2).roll(1, 0),
        lambda x: torch.zeros(len(x), 3, 8, 8),
        lambda x: torch.nn.functional.interpolate(x.permute(0, 3, 1, 2), size=(16, 16)),
        lambda x: None,
    ],
    ids=["transposed", "reshaped", "other channels", "other samples", "constant", "resized", "nothing"],
)
def test_whatever_else_is_received_settles_nothing_and_one_line_says_so(received, told):
    axes, inputs = ImageAxes(), torch.rand(5, 8, 8, 3)
    assert axes.are_last(inputs) is None
    assert told() == "", "before anything was heard"
    axes.settle(inputs, received(inputs))
    assert axes.are_last(inputs) is axes.are_last(inputs) is None
    assert told().count("no images are shown until that is certain") == 1
    assert torch.equal(axes.planes(inputs), inputs)
    axes.settle(inputs, inputs.permute(0, 3, 1, 2))
    assert axes.are_last(inputs) is True, "as a validation that augments nothing may tell later"


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 8, 3), (5, 3), (5, 1, 9, 3), (0, 8, 8, 3)])
def test_other_shapes_have_their_channels_first(shape):
    axes, inputs = ImageAxes(), torch.rand(shape)
    assert axes.are_last(inputs) is False
    assert axes.planes(inputs) is inputs


def test_each_model_has_its_own():
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert ImageAxes.of(one) is ImageAxes.of(one) is not ImageAxes.of(other)
    before = ImageAxes.of(one)
    ImageAxes.forget(one)
    assert ImageAxes.of(one) is not before
