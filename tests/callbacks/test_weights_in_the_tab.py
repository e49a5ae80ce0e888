"""Weights in the event file of a real fit: input channels and slices of kernels, and normalisation layers."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyNet, events, fit
from torch import nn
from torch.nn.utils import parametrizations

from lightning_cnnviz import KernelGrid
from lightning_cnnviz.output.owned import owned_bytes


def record(folder, tag):
    """The header of the last record, with the arrays."""
    header, payload = events(folder).Tensors(f"cnnviz/{tag}")[-1].tensor_proto.string_val
    found, at = json.loads(header), 0
    for one in found.pop("arrays"):
        values = np.frombuffer(payload, one["dtype"], int(np.prod(one["shape"])), at)
        found[one["name"]], at = values.reshape(one["shape"]).astype(np.float64), at + values.nbytes
    return found


def tags(folder, kind):
    prefix = f"cnnviz/{kind}/"
    return {tag.removeprefix(prefix) for tag in events(folder).Tags()["tensors"] if tag.startswith(prefix)}


class Convolutions(TinyNet):
    """Every kind of convolution before the classifier."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(8, 6, 5, padding=2)
        self.up = nn.ConvTranspose1d(6, 8, 3, padding=1, groups=2)
        self.three = nn.Conv3d(2, 4, 3, padding=1, groups=2)
        self.back = nn.ConvTranspose3d(4, 2, 3, padding=1)
        self.wide = nn.Conv2d(2, 4, 3, padding=1)
        self.grouped = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.normed = parametrizations.weight_norm(nn.ConvTranspose2d(6, 3, 3, padding=1))
        self.fourier = nn.Conv2d(3, 2, 3, padding=1, dtype=torch.complex64)
        self.colour = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        x = self.up(self.one(x[:, 0]))[:, None]
        x = self.back(self.three(x[:, :, None].repeat(1, 2, 1, 1, 1)))[:, :, 0]
        x = self.normed(self.depthwise(self.grouped(self.wide(x))))
        x = x + self.fourier(x.to(torch.complex64)).abs().sum(1, keepdim=True)
        return super().forward(self.colour(x))


def kernels_of(layer):
    """Output channel by output channel, with depth: (kernels, inputs, depth, height, width), float64 or complex128."""
    weight = layer.weight.detach().to(torch.complex128 if layer.weight.is_complex() else torch.float64).numpy()
    weight = np.abs(weight) if np.iscomplexobj(weight) else weight
    if "Transpose" in type(layer).__name__:
        per_group, out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
        weight = np.stack(
            [
                weight[kernel // out * per_group : (kernel // out + 1) * per_group, kernel % out]
                for kernel in range(layer.out_channels)
            ]
        )
    return weight.reshape(*weight.shape[:2], *[1] * (5 - weight.ndim), *weight.shape[2:])


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("convolutions")
    run = fit(folder, [KernelGrid(on_error="raise")], model=Convolutions, max_epochs=1)
    return folder, run.lightning_module


@pytest.mark.parametrize(
    "name", ["one", "up", "three", "back", "wide", "grouped", "normed", "fourier", "colour", "conv2"]
)
def test_every_input_channel_and_slice_is_that_of_the_trained_layer(convolutions, name):
    folder, module = convolutions
    layer, found = module.get_submodule(name), record(folder, f"kernel_channels/{name}")
    exact = kernels_of(layer)
    kernels, inputs, depth = exact.shape[:3]
    assert (found["shape"], found["groups"]) == ([kernels, inputs, depth], layer.groups)
    assert found["inputs"] == [*range(inputs), *(["mean"] if inputs > 1 else [])]
    assert found["slices"] == list(range(depth))
    for row, input in enumerate(found["inputs"]):
        planes = exact.mean(1) if input == "mean" else exact[:, input]
        for place in range(depth):
            limit = np.abs(planes[:, place]).max()
            weights = found["values"][row, place] / 127 * limit
            np.testing.assert_allclose(weights, planes[:, place], atol=limit / 254 * 1.001)
            assert found["low"][row, place] == pytest.approx(planes[:, place].min(), rel=1e-5, abs=1e-7)
            assert found["high"][row, place] == pytest.approx(planes[:, place].max(), rel=1e-5, abs=1e-7)


def test_kernels_of_one_channel_have_nothing_to_choose(convolutions):
    folder, _ = convolutions
    assert tags(folder, "kernels") - tags(folder, "kernel_channels") == {"conv1", "depthwise"}


def test_the_picture_says_which_channel_and_slice_it_shows(tmp_path):
    fit(tmp_path, [KernelGrid(layers=["back", "wide"], channel=1)], model=Convolutions, max_epochs=1)
    for name, where in (("back", {"input": 1, "slice": 1, "slices": 3}), ("wide", {"input": 1})):
        found = record(tmp_path, f"kernels/{name}")
        assert {key: found[key] for key in where} == where
        assert record(tmp_path, f"kernel_channels/{name}")["picture"] == 1
    layer = record(tmp_path, "kernel_channels/wide")
    limit = np.maximum(-layer["low"], layer["high"])[1, 0]
    picture = record(tmp_path, "kernels/wide")["values"]
    np.testing.assert_allclose(layer["values"][1, 0] / 127 * limit, picture, atol=limit / 200)


class Norms(TinyNet):
    """Every kind of normalisation layer before the classifier."""

    def __init__(self):
        super().__init__()
        self.batch = nn.BatchNorm2d(1)
        self.statistics = nn.BatchNorm2d(1, affine=False)
        self.instance = nn.InstanceNorm2d(1, affine=True, track_running_stats=True)
        self.bare = nn.InstanceNorm2d(1)
        self.group = nn.GroupNorm(1, 1)
        self.layer = nn.LayerNorm([8, 8])
        self.rms = nn.RMSNorm(8)
        self.wide = nn.BatchNorm1d(600)

    def forward(self, x):
        x = self.rms(self.layer(self.group(self.bare(self.instance(self.statistics(self.batch(x)))))))
        x = x + self.wide(x.flatten(1).repeat(1, 10)[:, :600]).mean(1)[:, None, None, None]
        return super().forward(x)


@pytest.fixture(scope="module")
def norms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("norms")
    return folder, fit(folder, [KernelGrid(on_error="raise")], model=Norms).lightning_module


def test_normalisation_layers_are_those_of_the_trained_model(norms):
    folder, module = norms
    expected = {"norm", "batch", "statistics", "instance", "group", "layer", "rms", "wide"}
    assert tags(folder, "normalization") == expected  # without the one that has nothing
    for name in expected:
        layer, found = module.get_submodule(name), record(folder, f"normalization/{name}")
        kept = ("weight", "bias", "running_mean", "running_var")
        assert found["quantities"] == [key for key in kept if getattr(layer, key, None) is not None]
        for row, quantity in enumerate(found["quantities"]):
            exact = getattr(layer, quantity).detach().double()
            assert found["shape"] == list(exact.shape)
            np.testing.assert_array_equal(found["values"][row], exact.flatten()[:512])
            assert found["low"][row] == found["values"][row].min()
            assert found["high"][row] == found["values"][row].max()
        assert found["channels"] == list(range(min(exact.numel(), 512)))


def test_running_statistics_move_through_time(norms):
    steps = [event.step for event in events(norms[0]).Tensors("cnnviz/normalization/norm")]
    assert steps == [6, 12]


def test_some_of_many_are_kept_and_none_where_layers_are_named(tmp_path):
    class Deep(TinyNet):
        def __init__(self):
            super().__init__()
            self.norms = nn.Sequential(*(nn.BatchNorm2d(1) for _ in range(9)))

        def forward(self, x):
            return super().forward(self.norms(x))

    fit(tmp_path / "few", [KernelGrid(max_layers=3)], model=Deep, max_epochs=1)
    assert tags(tmp_path / "few", "normalization") == {"norm", "norms.3", "norms.8"}
    fit(tmp_path / "named", [KernelGrid(layers="conv*")], model=Deep, max_epochs=1)
    assert not tags(tmp_path / "named", "normalization")


class Large(pl.LightningModule):
    """A convolution of 9 MB."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(512, 512, 3)
        self.norm = nn.BatchNorm2d(512)


def test_what_waits_to_be_written_holds_what_is_kept():
    module, callback = Large(), KernelGrid()
    callback.selected = callback.choose_layers(module)
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    held = {tag.split("/")[1]: owned_bytes(draw) for tag, draw in callback.drawings(trainer, module)}
    assert 2**15 < held["kernel_channels"] <= 2**16
    assert held["normalization"] == 4 * 512 * 4
