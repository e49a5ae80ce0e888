"""The cells against brute force: random points, the model's own forward pass, differences across edges."""

import itertools

import numpy as np
import pytest
import torch
from helpers.plane_nets import BOUNDS, NETS, net_of, relu_net
from matplotlib.path import Path as Outline
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.functional.input_partition.cells import TooManyCellsError, borders, partition
from lightning_cnnviz.functional.input_partition.plane_model import (
    PlaneModel,
    activation_patterns,
    grid_points,
)
from lightning_cnnviz.functional.input_partition.polygons import area
from recipes.circles import Circles

every_net = pytest.mark.parametrize("name", NETS)


@pytest.fixture
def net(name):
    return net_of(name)


def cells_of(points, cells):
    """For each point the number of the cell it lies in, by point-in-polygon tests; -1 on edges."""
    found = np.full(len(points), -1)
    for number, cell in enumerate(cells):
        inside = Outline(cell).contains_points(points, radius=1e-12)
        found[inside] = number
    return found


@every_net
def test_on_a_million_points_the_pattern_is_constant_inside_each_cell(net):
    found = partition(net, BOUNDS)
    assert found.exact
    cells, expected = found.levels[-1].cells, found.levels[-1].patterns
    assert sum(area(cell) for cell in cells) == pytest.approx(4.5 * 3.5, rel=1e-9)
    generator = np.random.default_rng(0)
    points = generator.uniform((-2, -1.5), (2.5, 2), (1_000_000, 2))
    patterns = np.concatenate(activation_patterns(PlaneModel(net), points), axis=1)
    inside = cells_of(points, cells)
    assert (inside >= 0).mean() > 0.9999
    wrong = (patterns[inside >= 0] != expected[inside[inside >= 0]]).any(axis=1)
    assert wrong.sum() == 0


@every_net
def test_patterns_differ_across_every_edge_and_between_cells(net):
    found = partition(net, BOUNDS)
    plane, level = PlaneModel(net), found.levels[-1]
    assert len(np.unique(level.patterns, axis=0)) == len(level.cells) == level.num_cells
    starts = np.concatenate(level.cells)
    ends = np.concatenate([np.roll(cell, -1, axis=0) for cell in level.cells])
    along = ends - starts
    long = np.linalg.norm(along, axis=1) > 1e-3
    middles = (starts + ends)[long] / 2
    across = 1e-6 * along[long][:, ::-1] * [1, -1] / np.linalg.norm(along[long], axis=1, keepdims=True)
    one, other = (np.concatenate(activation_patterns(plane, middles + sign * across), axis=1) for sign in (1, -1))
    x_low, x_high, y_low, y_high = BOUNDS
    x, y = middles.T
    inner = (x > x_low + 1e-6) & (x < x_high - 1e-6) & (y > y_low + 1e-6) & (y < y_high - 1e-6)
    assert inner.sum() > 10
    assert (one != other).any(axis=1)[inner].all()


@every_net
def test_every_stage_refines_the_one_before(net):
    levels = partition(net, BOUNDS).levels
    for earlier, later in itertools.pairwise(levels):
        assert len(later.cells) >= len(earlier.cells)
        middles = np.array([cell.mean(axis=0) for cell in later.cells])
        inside = cells_of(middles, earlier.cells)
        known = inside >= 0
        units = earlier.patterns.shape[1]
        assert (later.patterns[known][:, :units] == earlier.patterns[inside[known]]).all()


def test_lines_in_general_position_make_as_many_cells_as_the_formula_says():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 9), nn.ReLU())
    net[0].bias.data *= 0.1
    (level,) = partition(net, (-100, 100, -100, 100)).levels
    assert level.num_cells == level.num_patterns == 1 + 9 + 9 * 8 // 2


def test_own_borders_lie_where_the_own_pattern_changes():
    torch.manual_seed(3)
    net = Circles().eval()
    plane, found = PlaneModel(net), partition(net, BOUNDS)
    for index, level in enumerate(found.levels):
        segments = borders(plane, found, index)
        assert bool(len(segments)) == (level.num_patterns > 1)
        values = plane.run(segments.mean(axis=1)).inputs[index].flatten(1).numpy()
        if level.nonlinearity.breakpoints:
            assert np.abs(values).min(axis=1).max(initial=0) < 1e-9
        else:
            lead = np.stack(
                [np.diff(values[:, window], axis=1)[:, 0] for window in level.nonlinearity.windows()], axis=1
            )
            assert np.abs(lead).min(axis=1).max(initial=0) < 1e-9


def test_three_layers_of_64_units_are_cut_exactly():
    torch.manual_seed(0)
    net = relu_net(64, 64, 64)
    level = partition(net, (-1, 1, -1, 1)).levels[-1]
    assert len(level.cells) > 1000
    assert sum(area(cell) for cell in level.cells) == pytest.approx(4, rel=1e-9)
    middles = np.array([cell.mean(axis=0) for cell in level.cells])
    patterns = np.concatenate(activation_patterns(PlaneModel(net), middles), axis=1)
    np.testing.assert_array_equal(patterns, level.patterns)


def test_more_cells_than_allowed_stop_it_with_a_message():
    torch.manual_seed(0)
    with pytest.raises(
        TooManyCellsError, match=r"0 cuts the plane into more than max_cells=50 cells; look at a smaller"
    ):
        partition(relu_net(64), (-1, 1, -1, 1), max_cells=50)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_behind_smooth_activations_the_grid_shows_signs(activation):
    torch.manual_seed(3)
    net = Circles(activation).eval().double()
    found = partition(net, BOUNDS)
    assert not found.exact
    points = torch.from_numpy(grid_points(BOUNDS, 400))
    hidden = net.act1(net.fc1(points))
    first, second = net.fc1(points) > 0, net.conv(hidden[:, None]).flatten(1) > 0
    np.testing.assert_array_equal(found.levels[0].pattern, first.numpy())
    np.testing.assert_array_equal(found.levels[1].pattern, second.numpy())
    assert found.levels[1].num_cells == len(torch.cat([first, second], 1).unique(dim=0))


def test_a_smooth_activation_at_the_end_leaves_the_cells_exact():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    found = partition(net, BOUNDS)
    assert found.exact
    middles = np.array([cell.mean(axis=0) for cell in found.levels[-1].cells])
    expected = net.double()(torch.from_numpy(middles)) > 0.5
    np.testing.assert_array_equal(found.levels[-1].pattern, expected.numpy())


class Functional(nn.Module):
    def __init__(self, bend, last=False):
        super().__init__()
        self.fc1, self.fc2, self.relu, self.bend, self.last = nn.Linear(2, 4), nn.Linear(4, 2), nn.ReLU(), bend, last

    def forward(self, x):
        if self.last:
            return self.bend(self.fc2(self.relu(self.fc1(x))))
        return self.fc2(self.relu(self.bend(self.fc1(x)) - 0.1))


@pytest.mark.parametrize("bend", [F.relu, torch.tanh, lambda x: F.layer_norm(x, x.shape[1:]), torch.abs])
@pytest.mark.parametrize("last", [False, True])
def test_what_hooks_cannot_see_is_noticed_and_refused(bend, last):
    torch.manual_seed(5)
    where = "what the model returns" if last else "the input of relu"
    with pytest.raises(ValueError, match=rf"expected {where} to be affine .* write nn.ReLU\(\)"):
        partition(Functional(bend, last), (-3, 3, -3, 3))


def test_inputs_may_have_any_shape_of_two_numbers():
    net = nn.Sequential(nn.Conv1d(1, 3, 2), nn.ReLU())
    (level,) = partition(net, (-5, 5, -5, 5), shape=(1, 2)).levels
    assert level.num_cells == 7


def test_diverged_weights_are_called_so():
    net = relu_net(3)
    net[0].weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="to be finite, but it is not: the weights have diverged"):
        partition(net, BOUNDS)
