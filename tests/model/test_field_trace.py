"""Which functions keep, move or lose a receptive field."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.model.field_trace import FieldTrace


def extents(function, shape=(1, 4, 8, 6), model=None):
    """Extent of each dimension's axis of what a function returns; None where the field is unknown."""
    x = torch.rand(shape)
    trace = FieldTrace(model or nn.Identity(), x)
    with trace, torch.no_grad():
        y = function(x)
    field = trace.field(y)
    return None if field is None else [None if axis is None else axis.extent for axis in field]


KEPT = [None, None, 1, 1]
LIBRARY = torch.library.Library("cnnviz_test", "DEF")
"""Stays as long as the process: PyTorch 2.6 cannot import its compiler once a library of operators is gone."""
conv = nn.Conv2d(4, 4, 3, padding=1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: x.relu_() * 2 - x,
        lambda x: 1 - x,
        lambda x: F.gelu(x).clamp(min=0),
        lambda x: torch.cat([x, x], dim=1),
        lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)),
        lambda x: F.group_norm(x, 2),
        lambda x: x[:, 1:3],
        lambda x: x.chunk(2, dim=1)[1],
        lambda x: x.view(1, 2, 2, 8, 6).transpose(1, 2).reshape(1, 4, 8, 6),
        lambda x: F.linear(x.permute(0, 2, 3, 1), torch.ones(5, 4)).permute(0, 3, 1, 2),
        lambda x: x * x.mean((2, 3), keepdim=True),
        lambda x: x * F.adaptive_avg_pool2d(x, 1).sigmoid(),
        lambda x: x * F.linear(x.mean((2, 3)), torch.ones(4, 4)).view(1, 4, 1, 1),
        lambda x: x.float().contiguous().detach().clone(),
        lambda x: torch.where(x > 0.5, x, 0.0),
        lambda x: x.masked_fill((x < 0) | ~(x >= -1), 0.0).round(),
    ],
)
def test_what_works_place_by_place_keeps_the_field(function):
    assert extents(function) == KEPT


def test_branches_meet_in_the_larger_field():
    assert extents(lambda x: x + conv(x), model=conv) == [None, None, 3, 3]
    assert extents(lambda x: torch.cat([conv(conv(x)), x], 1), model=conv) == [None, None, 5, 5]


def test_a_choice_depends_on_what_it_is_made_by():
    far = nn.Conv2d(4, 4, 5, padding=2)
    assert extents(lambda x: torch.where(far(x) > 0, x, 0.0), model=far) == [None, None, 5, 5]
    assert extents(lambda x: x.where(far(x) > 0, 2 * x), model=far) == [None, None, 5, 5]
    assert extents(lambda x: x * (far(x) > 0), model=far) == [None, None, 5, 5]
    assert extents(lambda x: torch.where(x.mean() > 0, x, 0.0)) is None


def test_arguments_may_be_named_or_given_in_order():
    assert extents(lambda x: F.max_pool2d(x, kernel_size=(2, 3))) == [None, None, 2, 3]
    assert extents(lambda x: F.avg_pool2d(x, 3, 1)) == [None, None, 3, 3]
    assert extents(lambda x: F.conv2d(x, torch.ones(1, 4, 2, 1), None, 1, 0, (3, 1))) == [None, None, 4, 1]
    assert extents(lambda x: F.pad(x, (1, 1, 0, 0), mode="reflect")) == KEPT


def test_dimensions_that_change_places_take_their_axis_along():
    assert extents(lambda x: F.max_pool2d(x, (1, 3)).permute(0, 2, 3, 1)) == [None, 1, 3, None]
    assert extents(lambda x: F.max_pool2d(x, (1, 3)).transpose(0, 1)) == [None, None, 1, 3]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flip(3),
        lambda x: x.roll(1, 2),
        lambda x: x.flatten(1),
        lambda x: x.softmax(dim=-1),
        lambda x: x[:, :, 1:],
        lambda x: x + x.flip(3),
        lambda x: torch.matmul(x, x.transpose(2, 3)),
        lambda x: F.interpolate(x, size=(11, 7)),
        lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
        lambda x: F.interpolate(x, None, 2, "bicubic"),
        lambda x: F.interpolate(x, scale_factor=1.05),
        lambda x: x.transpose(-1, -2),
        lambda x: x.permute(0, 3, 2, 1),
        lambda x: x.transpose_(2, 3),
        lambda x: F.linear(x, torch.ones(6, 6)),
        lambda x: x + x.mean(3, keepdim=True),
        lambda x: x * x.mean(3, keepdim=True),
        lambda x: x + x.mean((2, 3), keepdim=True),
        lambda x: x.permute(0, 2, 3, 1) * x.flip(3).amax((1, 3)).view(1, 8, 1, 1),
        lambda x: F.conv2d(x, torch.ones(4, 4, 3, 3) * x.mean()),
        lambda x: torch.cat([x[:, :, :4], x[:, :, 4:]], dim=2),
        lambda x: x + torch.tensor(x.tolist()),
    ],
)
def test_of_other_functions_the_field_is_unknown(function):
    assert extents(function) is None


def test_what_is_written_into_has_no_known_field():
    def function(x):
        y = x.clone()
        y[:, :, 1:] = x[:, :, :-1]
        return y

    assert extents(function) is None


def test_a_write_into_a_part_makes_the_whole_unknown_and_one_into_the_whole_its_parts():
    def part_written(x):
        y = x.clone()
        y[:, :1].add_(F.max_pool2d(x[:, 1:2], 3, 1, 1))
        return y

    def whole_written(x):
        y = x.clone()
        part = y[:, :2]
        y.add_(F.max_pool2d(x, 3, 1, 1))
        return part

    def constant_written(x):
        kernel = torch.zeros(1, 4, 8, 6)
        kernel.copy_(x.flip(3))
        return x + kernel

    assert extents(part_written) is extents(whole_written) is extents(constant_written) is None
    assert extents(lambda x: x.clone().add_(F.max_pool2d(x, 3, 1, 1))) == [None, None, 3, 3]


def test_maps_of_another_arrangement_do_not_meet_place_by_place():
    # As many rows as columns and channels: dimension 2 would be the rows of one and the columns of the other.
    assert extents(lambda x: x + x.permute(0, 2, 3, 1), shape=(1, 5, 5, 5)) is None


def test_an_operator_of_a_library_is_not_taken_for_pytorchs_function_of_its_name():
    LIBRARY.define("relu(Tensor x) -> Tensor")
    LIBRARY.impl("relu", lambda x: x.flip(3), "CPU")
    assert extents(torch.ops.cnnviz_test.relu) is None


def test_a_scripted_function_hides_what_it_does():
    @torch.jit.script
    def hidden(x):
        return x.flip(3)

    assert extents(hidden) is None
    assert extents(lambda x: x + hidden(x)) is None
