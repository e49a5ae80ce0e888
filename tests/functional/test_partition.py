"""The cells against brute force: random points, the model's own forward pass, differences across edges."""

import itertools
import threading

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Outline
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.functional.affine_check import check_affine
from lightning_cnnviz.functional.partition import TooManyCellsError, borders, partition
from lightning_cnnviz.functional.plane_model import PlaneModel, activation_patterns, affine_maps, grid_points
from lightning_cnnviz.functional.polygons import area
from recipes.circles import Circles

BOUNDS = (-2.0, 2.5, -1.5, 2.0)


class Pooled(nn.Module):
    """A 2-D convolution, max-pools of four with and without a ReLU before them, batch norm, an average pool."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2, 36)
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.norm.running_mean.uniform_(-0.3, 0.3)
        self.act = nn.LeakyReLU(0.2)
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.AvgPool2d(2)
        self.act2 = nn.ReLU6()
        self.fc2 = nn.Linear(2, 3)

    def forward(self, x):
        x = self.act(self.norm(self.conv(self.fc1(x).unflatten(1, (1, 6, 6)))))
        return self.fc2(self.act2(4 * self.mean(self.pool(x)).flatten(1)))


def relu_net(*widths):
    layers = []
    for before, after in zip((2, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 2))


NETS = {
    "relu": lambda: relu_net(8, 6, 4),
    "pools": Pooled,
    "circles": Circles,
    "leaky": lambda: nn.Sequential(nn.Linear(2, 6), nn.LeakyReLU(0.1), nn.Linear(6, 5), nn.Hardtanh()),
    "classes": lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=1)),
}
every_net = pytest.mark.parametrize("name", NETS)


@pytest.fixture
def net(name):
    torch.manual_seed(3)
    return NETS[name]().eval()


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
    cells, expected = found.stages[-1].cells, found.stages[-1].patterns
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
    plane, stage = PlaneModel(net), found.stages[-1]
    assert len(np.unique(stage.patterns, axis=0)) == len(stage.cells) == stage.num_cells
    starts = np.concatenate(stage.cells)
    ends = np.concatenate([np.roll(cell, -1, axis=0) for cell in stage.cells])
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
def test_the_affine_map_of_a_cell_is_the_model_to_float64_precision(net):
    found = partition(net, BOUNDS)
    cells = found.stages[-1].cells
    plane = PlaneModel(net)
    weights, offsets = affine_maps(plane, cells)
    generator = np.random.default_rng(1)
    for cell, weight, offset in zip(cells, weights, offsets, strict=True):
        points = generator.dirichlet(np.ones(len(cell)), 20) @ cell
        seen = plane.run(points)
        actual = seen.inputs[-1] if seen.gates[-1].smooth else seen.output
        scale = float(actual.abs().max()) + 1
        np.testing.assert_allclose(points @ weight.T + offset, actual.flatten(1).numpy(), atol=1e-12 * scale)


@every_net
def test_every_stage_refines_the_one_before(net):
    stages = partition(net, BOUNDS).stages
    for earlier, later in itertools.pairwise(stages):
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
    (stage,) = partition(net, (-100, 100, -100, 100)).stages
    assert stage.num_cells == stage.num_patterns == 1 + 9 + 9 * 8 // 2


def test_own_borders_lie_where_the_own_pattern_changes():
    torch.manual_seed(3)
    net = Circles().eval()
    plane, found = PlaneModel(net), partition(net, BOUNDS)
    for index, stage in enumerate(found.stages):
        segments = borders(plane, found, index)
        assert bool(len(segments)) == (stage.num_patterns > 1)
        values = plane.run(segments.mean(axis=1)).inputs[index].flatten(1).numpy()
        if stage.gate.bends:
            assert np.abs(values).min(axis=1).max(initial=0) < 1e-9
        else:
            lead = np.stack([np.diff(values[:, window], axis=1)[:, 0] for window in stage.gate.windows()], axis=1)
            assert np.abs(lead).min(axis=1).max(initial=0) < 1e-9


def test_three_layers_of_64_units_are_cut_exactly():
    torch.manual_seed(0)
    net = relu_net(64, 64, 64)
    stage = partition(net, (-1, 1, -1, 1)).stages[-1]
    assert len(stage.cells) > 1000
    assert sum(area(cell) for cell in stage.cells) == pytest.approx(4, rel=1e-9)
    middles = np.array([cell.mean(axis=0) for cell in stage.cells])
    patterns = np.concatenate(activation_patterns(PlaneModel(net), middles), axis=1)
    np.testing.assert_array_equal(patterns, stage.patterns)


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
    np.testing.assert_array_equal(found.stages[0].pattern, first.numpy())
    np.testing.assert_array_equal(found.stages[1].pattern, second.numpy())
    assert found.stages[1].num_cells == len(torch.cat([first, second], 1).unique(dim=0))


def test_a_smooth_activation_at_the_end_leaves_the_cells_exact():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    found = partition(net, BOUNDS)
    assert found.exact
    middles = np.array([cell.mean(axis=0) for cell in found.stages[-1].cells])
    expected = net.double()(torch.from_numpy(middles)) > 0.5
    np.testing.assert_array_equal(found.stages[-1].pattern, expected.numpy())


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
    where = "what the model returns" if last else "what reaches relu"
    with pytest.raises(ValueError, match=rf"expected {where} to be affine .* write nn.ReLU\(\)"):
        partition(Functional(bend, last), (-3, 3, -3, 3))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (nn.Sequential(nn.LSTM(2, 4)), "0, a LSTM"),
        (nn.GRUCell(2, 2), "the model, a GRUCell"),
        (nn.Sequential(nn.Linear(2, 4), nn.TransformerEncoderLayer(4, 2)), "1, a TransformerEncoderLayer"),
    ],
)
def test_recurrent_and_attention_layers_are_refused_by_name(model, name):
    with pytest.raises(ValueError, match=f"affine between their activations, got {name}"):
        partition(model, BOUNDS)


def test_other_numbers_of_inputs_are_refused():
    with pytest.raises(ValueError, match=r"expected a model with two inputs, got inputs of shape \(1, 8, 8\) with 64"):
        PlaneModel(nn.Flatten(), (1, 8, 8))


def test_inputs_may_have_any_shape_of_two_numbers():
    net = nn.Sequential(nn.Conv1d(1, 3, 2), nn.ReLU())
    (stage,) = partition(net, (-5, 5, -5, 5), shape=(1, 2)).stages
    assert stage.num_cells == 7


def test_the_model_is_left_as_it_was():
    net = Pooled().train()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    partition(net, BOUNDS)
    assert net.training
    assert next(net.parameters()).dtype == torch.float32
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def odd(bend):
    """Without biases: what is tanh or a ReLU of x is no other on the other side of the origin, but for the sign."""
    net = nn.Sequential(nn.Linear(2, 5, bias=False), bend, nn.Linear(5, 1, bias=False), nn.Sigmoid())
    net[0].weight.data *= 4
    return net


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("function", [torch.tanh, F.hardtanh])
@pytest.mark.parametrize("look", [partition, lambda net, bounds: check_affine(PlaneModel(net), bounds)])
def test_odd_functions_are_noticed_on_symmetric_bounds(function, look):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="to be affine between the activations"):
        look(odd(Called(function)), (-2, 2, -2, 2))


def test_functions_behind_a_wide_layer_are_noticed_without_cutting():
    torch.manual_seed(0)
    wide = [nn.Linear(2, 96), nn.ReLU(), nn.Linear(96, 8)]
    with pytest.raises(ValueError, match="to be affine between the activations"):
        check_affine(PlaneModel(nn.Sequential(*wide, Called(F.relu), nn.Linear(8, 2))), (-3, 3, -3, 3))
    check_affine(PlaneModel(nn.Sequential(*wide, nn.ReLU(), nn.Linear(8, 2))), (-3, 3, -3, 3))


def test_diverged_weights_are_called_so():
    net = relu_net(3)
    net[0].weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="to be finite, but it is not: the weights have diverged"):
        partition(net, BOUNDS)


def test_models_are_copied_whatever_else_they_hold():
    net = relu_net(3)
    net.lock, net.last = threading.Lock(), net(torch.rand(4, 2))
    assert partition(net, BOUNDS).stages[0].num_cells > 1


def test_compiled_parts_are_looked_into():
    net = relu_net(3)
    net[0] = torch.compile(net[0])
    assert [stage.gate.name for stage in partition(net, BOUNDS).stages] == ["0"]
