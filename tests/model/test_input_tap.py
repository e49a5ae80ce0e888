"""What layers receive, compared with NumPy over what the user's own hooks hear."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.model.input_tap import InputTap, left_in_evaluation, normalizing_as_in_evaluation


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d(5), (16, 5)),
        (nn.BatchNorm1d(5), (16, 5, 7)),
        (nn.BatchNorm2d(5), (8, 5, 4, 6)),
        (nn.BatchNorm3d(5), (4, 5, 3, 2, 2)),
    ],
    ids=["vectors", "series", "maps", "volumes"],
)
def test_distances_are_those_of_numpy_before_the_update(norm, shape):
    net = nn.Sequential(nn.Identity(), norm)
    for number in range(3):  # so that running statistics are of something
        net(2 * random(*shape, seed=number) + 3)
    mean, variance = (value.double().numpy().copy() for value in (norm.running_mean, norm.running_var))
    tap = InputTap({}, {"1": norm})
    x = 5 * random(*shape, seed=9) - 1
    net(x)
    tap.close()
    values = np.moveaxis(x.double().numpy(), 1, 0).reshape(5, -1)
    found = tap.normalizations()["1"]
    assert (found.samples, found.values, found.batches) == (shape[0], values.shape[1], 3)
    assert found.distance == pytest.approx(np.median(np.abs(mean - values.mean(1)) / values.std(1)), rel=1e-3)
    assert found.ratio == pytest.approx(np.median(np.abs(np.log(variance / values.var(1)))), rel=1e-3)


@pytest.mark.parametrize(("momentum", "left"), [(0.1, 0.729), (0.0, 1.0), (1.0, 0.0), (None, 0.0)])
def test_what_is_left_of_the_initial_statistics_is_what_they_still_weigh(momentum, left):
    norm = nn.BatchNorm1d(4, momentum=momentum)
    norm.running_mean.fill_(1e4)
    for number in range(3):
        norm(random(16, 4, seed=number))
    assert norm.running_mean.mean() / 1e4 == pytest.approx(left, abs=1e-3)
    tap = InputTap({}, {"0": norm})
    norm(random(16, 4))
    tap.close()
    assert tap.normalizations()["0"].remembered == pytest.approx(left)


def test_normalisations_that_do_not_use_the_batch_are_left_out():
    frozen, untracked = nn.BatchNorm1d(4).eval(), nn.BatchNorm1d(4, track_running_stats=False)
    tap = InputTap({}, {"a": frozen, "b": untracked})
    nn.Sequential(frozen, untracked)(random(8, 4))
    tap.close()
    assert tap.normalizations() == {}


def test_one_sample_is_told():
    norm = nn.BatchNorm2d(3)
    tap = InputTap({}, {"0": norm})
    norm(random(1, 3, 4, 4))
    tap.close()
    assert (tap.normalizations()["0"].samples, tap.normalizations()["0"].values) == (1, 16)


def test_the_first_layer_that_runs_counts_with_what_it_receives_first():
    layers = {"b": nn.Linear(4, 3), "a": nn.Linear(3, 3)}
    tap = InputTap(layers, {})
    x = 7 * random(6, 4) + 100
    layers["a"](layers["b"](x))
    layers["b"](x * 0)
    tap.close()
    array = x.double().numpy()
    np.testing.assert_allclose(tap.received(), [array.min(), array.max(), array.mean(), array.std()], rtol=1e-5)


def test_whole_numbers_are_heard_but_are_no_values():
    layers = {"embedding": nn.Embedding(9, 4), "linear": nn.Linear(4, 2)}
    tap = InputTap(layers, {})
    layers["linear"](layers["embedding"](torch.tensor([[1, 2], [3, 8]])))
    tap.close()
    assert tap.received() == []


def test_half_precision_does_not_overflow():
    layer = nn.Identity()
    tap = InputTap({"0": layer}, {})
    layer(torch.full((64, 64), 60000.0, dtype=torch.float16))
    tap.close()
    assert tap.received() == [60000.0, 60000.0, 60000.0, 0.0]


def test_an_error_is_raised_at_the_end_and_not_in_the_pass():
    class Odd(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if getattr(function, "__name__", "") == "detach":
                raise RuntimeError("not this one")
            return super().__torch_function__(function, types, args, kwargs or {})

    layer = nn.Linear(4, 2)
    tap = InputTap({"0": layer}, {})
    layer(random(3, 4).as_subclass(Odd))
    with pytest.raises(RuntimeError, match="not this one"):
        tap.close()
    tap.close()
    layer(random(3, 4))
    assert tap.received() == []


def test_a_copy_made_meanwhile_hears_nothing():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    tap = InputTap({"0": net[0]}, {"1": net[1]})
    copied = copy.deepcopy(net)
    copied(random(5, 4))
    assert tap.received() == []
    net(random(5, 4))
    tap.close()
    assert len(tap.received()) == 4
    assert not any(math.isnan(value) for value in tap.received())


# ---- modes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Linear(4, 2), nn.Dropout2d(0.1), nn.Dropout(0.0))


def test_layers_left_in_evaluation_are_those_that_are_trained():
    net = Net()
    assert left_in_evaluation(net.train(), net.parameters()) == {}
    assert left_in_evaluation(net.eval(), net.parameters()) == {
        "backbone.1": "BatchNorm1d",
        "backbone.2": "Dropout",
        "head.1": "Dropout2d",
    }
    assert left_in_evaluation(net, net.head.parameters()) == {"head.1": "Dropout2d"}  # as one trains the head only
    net.backbone.requires_grad_(False)
    assert left_in_evaluation(net, net.parameters()) == {"head.1": "Dropout2d"}


def test_a_normalisation_that_has_seen_data_may_be_frozen():
    net = Net().train()
    net.backbone(random(8, 4))
    net.backbone.eval()
    assert "backbone.1" not in left_in_evaluation(net, net.parameters())
    assert normalizing_as_in_evaluation(net, net.parameters()) == ["backbone.1"]
    assert normalizing_as_in_evaluation(net, net.head.parameters()) == []
    net.backbone[1].requires_grad_(False)
    assert normalizing_as_in_evaluation(net, net.parameters()) == []
    assert normalizing_as_in_evaluation(Net().train(), net.parameters()) == []


def test_a_normalisation_without_a_scale_counts_as_what_is_beside_it():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False).eval(), nn.Linear(4, 2))
    assert left_in_evaluation(net, net.parameters()) == {"1": "BatchNorm1d"}
    assert left_in_evaluation(net, []) == {}
