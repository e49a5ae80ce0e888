"""LeNet-5 against the published numbers, against counting by trial and against SciPy."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.signal import correlate2d
from scipy.special import expit

from lightning_cnnviz.model.layers import convolutions, weights_of
from recipes.lenet5_classic import LeNet5Classic

PUBLISHED = {
    "c1": (156, 122_304, (6, 28, 28)),
    "s2": (12, 5_880, (6, 14, 14)),
    "c3": (1_516, 151_600, (16, 10, 10)),
    "s4": (32, 2_000, (16, 5, 5)),
    "c5": (48_120, 48_120, (120, 1, 1)),
    "f6": (10_164, 10_164, (84,)),
    "rbf": (0, 840, (10,)),
}
"""Trainable parameters, connections and units; of the output, 84 inputs to each of 10 units."""

TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""
"""Rows: maps of S2; columns: maps of C3; X: the column sees the row."""


@pytest.fixture
def net():
    pl.seed_everything(0)
    return LeNet5Classic().double()


def inputs_and_outputs(net, images):
    seen = {}
    for name in PUBLISHED:
        net.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: seen.update({name: (x[0], y)}))
    net(images)
    return seen


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_layer_has_the_published_parameters_units_and_connections(name, net):
    parameters, connections, units = PUBLISHED[name]
    assert sum(parameter.numel() for parameter in net.get_submodule(name).parameters()) == parameters
    assert net.connections()[name] == connections
    assert inputs_and_outputs(net, torch.rand(2, 1, 32, 32).double())[name][1].shape == (2, *units)


def test_60_000_parameters_and_340_908_connections_in_all(net):
    assert sum(parameter.numel() for parameter in net.parameters()) == 60_000
    assert sum(net.connections().values()) == 340_908


@pytest.mark.parametrize("name", PUBLISHED)
def test_connections_are_as_many_as_changes_of_single_inputs_that_reach_a_unit(name, net):
    layer = net.get_submodule(name)
    x, y = inputs_and_outputs(net, torch.rand(1, 1, 32, 32).double())[name]
    with torch.no_grad():
        changed = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
        reached = int((layer(x + changed) != layer(x)).sum())
    biases = 0 if name == "rbf" else y.numel()
    assert net.connections()[name] == reached + biases


def test_c3_sees_what_table_i_says(net):
    table = np.array([list(row) for row in TABLE_I.split()]) == "X"
    kernels = net.c3.weight.detach().numpy() != 0
    assert (table == kernels.any(axis=(2, 3)).T).all()
    assert (table == kernels.all(axis=(2, 3)).T).all()


def test_c3_is_a_convolution_for_the_callbacks(net):
    assert convolutions(net) == ["c1", "c3", "c5"]
    assert weights_of(net, ["c3"])["c3"].shape == (60, 5, 5)


def test_the_network_computes_what_scipy_computes(net):
    image = np.random.default_rng(0).uniform(-0.1, 1.175, (32, 32))
    parameters = {name: value.detach().numpy() for name, value in net.named_parameters()}

    def convolve(maps, weight, bias):
        sums = [sum(map(lambda m, k: correlate2d(m, k, "valid"), maps, kernels)) for kernels in weight]
        return 1.7159 * np.tanh(2 / 3 * (np.stack(sums) + bias[:, None, None]))

    def sub_sample(maps, weight, bias):
        sums = maps[:, ::2, ::2] + maps[:, 1::2, ::2] + maps[:, ::2, 1::2] + maps[:, 1::2, 1::2]
        return expit(weight[:, None, None] * sums + bias[:, None, None])

    c3 = np.zeros((16, 6, 5, 5))
    table = np.array([list(row) for row in TABLE_I.split()]) == "X"
    c3[table.T] = parameters["c3.parametrizations.weight.original"]
    x = convolve(image[None], parameters["c1.weight"], parameters["c1.bias"])
    x = sub_sample(x, parameters["s2.weight"], parameters["s2.bias"])
    x = convolve(x, c3, parameters["c3.bias"])
    x = sub_sample(x, parameters["s4.weight"], parameters["s4.bias"])
    x = convolve(x, parameters["c5.weight"], parameters["c5.bias"]).ravel()
    x = 1.7159 * np.tanh(2 / 3 * (parameters["f6.weight"] @ x + parameters["f6.bias"]))
    distances = ((x - net.rbf.bitmaps.numpy()) ** 2).sum(axis=1)
    found = net(torch.from_numpy(image)[None, None]).detach().numpy()[0]
    assert found == pytest.approx(-distances, abs=1e-9)


def test_the_bitmaps_are_seven_by_twelve_of_plus_and_minus_one_and_all_different(net):
    bitmaps = net.rbf.bitmaps
    assert bitmaps.shape == (10, 84)
    assert bitmaps.unique().tolist() == [-1, 1]
    rows = ["".join("#" if value > 0 else "." for value in row) for row in bitmaps[7].reshape(12, 7)]
    assert rows[1:3] == ["#######", ".....##"]  # the top of the 7
    differing = (bitmaps[:, None] != bitmaps).sum(2) + 84 * torch.eye(10)
    assert differing.min() > 10


def test_one_step_changes_every_parameter_but_no_bitmap_and_no_missing_kernel(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = net.configure_optimizers()
    images = torch.rand(20, 1, 32, 32).double()
    net.loss(net(images), torch.arange(20) % 10).backward()
    optimizer.step()
    after = net.state_dict()
    unchanged = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert "rbf.bitmaps" in unchanged
    assert not unchanged.intersection(dict(net.named_parameters()))
    assert int((net.c3.weight == 0).sum()) == (96 - 60) * 25


def test_the_loss_is_equation_9(net):
    distances = np.random.default_rng(0).uniform(0, 9, (5, 10))
    targets = np.array([3, 1, 4, 1, 5])
    own = distances[np.arange(5), targets]
    expected = (own + np.log(np.exp(-1) + np.exp(-distances).sum(axis=1))).mean()
    assert net.loss(torch.from_numpy(-distances), torch.from_numpy(targets)).item() == pytest.approx(expected)
