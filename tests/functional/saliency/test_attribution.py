"""Attributions equal captum called by hand, closed forms and brute force, and depend on the weights."""

from itertools import product

import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from helpers.tiny import TinyData, TinyNet
from torch import nn

from lightning_cnnviz.functional.saliency import attribution as saliency
from lightning_cnnviz.functional.saliency.attribution import METHODS, Attribution, attribute, require_captum

IMAGES, TARGETS = TinyData(12).images, TinyData(12).targets


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = TinyNet().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = TinyData(48)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.images), data.targets).backward()
        optimizer.step()
    return model


def by_hand(net, method):
    """Captum itself, on the model in evaluation mode."""
    net.eval()
    baseline = IMAGES.mean().expand(1, 1, 8, 8)
    if method == "grad_cam":
        found = LayerGradCam(net, net.conv2).attribute(IMAGES, target=TARGETS, relu_attributions=True)
    elif method == "integrated_gradients":
        found = IntegratedGradients(net).attribute(IMAGES, baselines=baseline, target=TARGETS, n_steps=32)
    else:
        windows = {"sliding_window_shapes": (1, 2, 2), "strides": (1, 1, 1)}
        found = Occlusion(net).attribute(IMAGES, baselines=baseline, target=TARGETS, **windows)
    net.train()
    return found[:, 0].detach()


@pytest.mark.parametrize("method", METHODS)
def test_maps_equal_those_of_captum_called_by_hand(method, net):
    maps = attribute(net, IMAGES, TARGETS, Attribution(method), layer="conv2")
    assert maps.abs().max() > 0
    torch.testing.assert_close(maps, by_hand(net, method).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["norm", "relu", "conv1"])
def test_an_in_place_layer_behind_it_does_not_change_what_is_explained(layer, net):
    net.eval()
    found = LayerGradCam(net, net.get_submodule(layer)).attribute(IMAGES, target=TARGETS, relu_attributions=True)
    torch.testing.assert_close(attribute(net, IMAGES, TARGETS, layer=layer), found[:, 0].detach())


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was(method, net):
    net.train()
    net.zero_grad()
    state, random = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    attribute(net, IMAGES, TARGETS, Attribution(method), layer="conv2")
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(weight.grad is None and weight.requires_grad for weight in net.parameters())
    assert all(module.training for module in net.modules())
    assert not any(module._forward_hooks for module in net.modules())


# ---- closed forms of linear networks


def linear():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 36, 3))


INPUTS, CLASSES = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(2)), [0, 2, 1, 1, 0]


def contributions(model, baseline):
    """What each pixel adds to a linear network's score, shape (samples, 2, 6, 6)."""
    weights = model[1].weight.detach()[CLASSES].reshape(-1, 2, 6, 6)
    return weights * (INPUTS - baseline)


@pytest.mark.parametrize("baseline", ["mean", 0.5])
def test_integrated_gradients_of_a_linear_network_are_weights_times_differences(baseline):
    model = linear()
    maps = attribute(model, INPUTS, CLASSES, Attribution("integrated_gradients", steps=2, baseline=baseline))
    nothing = INPUTS.mean(dim=(0, 2, 3), keepdim=True) if baseline == "mean" else baseline
    torch.testing.assert_close(maps, contributions(model, nothing).sum(dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_occlusion_of_a_linear_network_is_the_mean_of_sums_over_windows(window):
    model = linear()
    maps = attribute(model, INPUTS, CLASSES, Attribution("occlusion", window=window, baseline=0.0))
    single = contributions(model, 0.0).sum(dim=1)
    stride, last = max(1, window // 2), 6 - window
    sums, counts = torch.zeros_like(single), torch.zeros(6, 6)
    for top, left in product(range(0, last + 1, stride), repeat=2):
        part = (slice(top, top + window), slice(left, left + window))
        sums[:, part[0], part[1]] += single[:, part[0], part[1]].sum(dim=(1, 2), keepdim=True)
        counts[part] += 1
    torch.testing.assert_close(maps, sums / counts, rtol=1e-4, atol=1e-5)


def test_grad_cam_of_a_linear_network_is_the_weighted_sum_of_its_channels():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    channels, weights = model[0](INPUTS).detach(), model[3].weight.detach()[CLASSES] / 16
    expected = torch.einsum("nchw,nc->nhw", channels, weights).clamp(min=0)
    torch.testing.assert_close(attribute(model, INPUTS, CLASSES), expected)


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(net):
    attribution = Attribution("integrated_gradients", steps=200)
    maps = attribute(net, IMAGES, TARGETS, attribution)
    net.eval()
    with torch.no_grad():
        rows = range(len(IMAGES))
        nothing = net(IMAGES.mean().expand_as(IMAGES))
        change = (net(IMAGES) - nothing)[rows, TARGETS]
    torch.testing.assert_close(maps.sum(dim=(1, 2)), change, rtol=0.05, atol=0.05)


# ---- the published sanity check


@pytest.mark.parametrize("method", METHODS)
def test_maps_change_as_layers_are_randomised_from_the_last_to_the_first(method, net):
    """Adebayo et al. 2018: what does not change does not depend on the model."""
    copied = TinyNet()
    copied.load_state_dict(net.state_dict())
    before = attribute(copied, IMAGES, TARGETS, Attribution(method), layer="conv2").flatten(1)
    torch.manual_seed(5)
    for layer in ("fc2", "fc1", "conv2", "conv1"):
        copied.get_submodule(layer).reset_parameters()
        now = attribute(copied, IMAGES, TARGETS, Attribution(method), layer="conv2").flatten(1)
        both = now.any(dim=1) & before.any(dim=1)
        alike = nn.functional.cosine_similarity(now - now.mean(1, True), before - before.mean(1, True))[both].mean()
        assert alike < 0.7, layer


# ---- what models there are


class Tokens(nn.Module):
    """A vision transformer of one block over 2×4 patches, with a class token."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.start = nn.Parameter(torch.randn(1, 1, 8))
        self.norm1 = nn.LayerNorm(8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = torch.cat([self.start.expand(len(x), -1, -1), self.patches(x).flatten(2).transpose(1, 2)], dim=1)
        normal = self.norm1(tokens)
        tokens = tokens + self.attend(normal, normal, normal)[0]
        return self.head(self.norm2(tokens)[:, 0])


WIDE = torch.rand(5, 1, 8, 16, generator=torch.Generator().manual_seed(4))


def test_grad_cam_of_a_transformer_is_over_its_patch_tokens_before_the_last_attention():
    model, seen = Tokens().eval(), []
    handle = model.norm1.register_forward_hook(lambda _, args, output: seen.append(output))
    scores = model(WIDE)[range(5), CLASSES]
    handle.remove()
    gradient = torch.autograd.grad(scores.sum(), seen[0])[0][:, 1:]
    expected = (seen[0][:, 1:] * gradient.mean(dim=1, keepdim=True)).sum(dim=2).clamp(min=0).reshape(5, 2, 4)
    maps = attribute(model, WIDE, CLASSES)
    assert maps.any()
    torch.testing.assert_close(maps, expected.detach())


def test_a_layer_on_whose_patches_no_score_depends_is_named():
    with pytest.raises(ValueError, match="no class score depends on the places of norm2; name an earlier layer"):
        attribute(Tokens(), WIDE, CLASSES, layer="norm2")


def test_a_single_score_speaks_for_one_class_and_against_the_other():
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 1))
    first, second = (attribute(model, INPUTS, [k] * 5, Attribution("integrated_gradients")) for k in (0, 1))
    torch.testing.assert_close(first, -second)
    scores = model(INPUTS) - model(INPUTS.mean(dim=(0, 2, 3), keepdim=True).expand_as(INPUTS[:1]))
    torch.testing.assert_close(second.sum(dim=(1, 2)), scores.detach()[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_frozen_weights_are_no_hindrance(method, net):
    frozen = TinyNet()
    frozen.load_state_dict(net.state_dict())
    expected = attribute(frozen, IMAGES, TARGETS, Attribution(method))
    frozen.requires_grad_(False)
    torch.testing.assert_close(attribute(frozen, IMAGES, TARGETS, Attribution(method)), expected)


def test_a_compiled_model_runs_uncompiled(net):
    compiled = torch.compile(net, backend="eager")
    torch.testing.assert_close(attribute(compiled, IMAGES, TARGETS), attribute(net, IMAGES, TARGETS))


class Backbone(TinyNet):
    """Whose convolutions run without a gradient."""

    def forward(self, x):
        with torch.no_grad():
            x = self.pool(self.conv2(self.relu(self.norm(self.conv1(x))))).flatten(1)
        return self.fc2(self.fc1(x))


def test_a_layer_without_a_gradient_is_named_and_occlusion_needs_none():
    with pytest.raises(ValueError, match="class scores have no gradient with respect to conv2"):
        attribute(Backbone(), IMAGES, TARGETS, layer="conv2")
    with pytest.raises(ValueError, match="needs a convolution on which a class score depends"):
        attribute(Backbone(), IMAGES, TARGETS)
    assert attribute(Backbone(), IMAGES, TARGETS, Attribution("occlusion")).any()


def test_one_channel_signals_volumes_and_features():
    for shape in ((5, 1, 40), (5, 1, 6, 6), (5, 1, 6, 6, 6)):
        kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[len(shape)]
        model = nn.Sequential(kind(1, 1, 3), nn.Flatten(), nn.LazyLinear(2))
        inputs = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        model(inputs)
        for method in METHODS:
            maps = attribute(model, inputs, [0, 1, 0, 1, 0], Attribution(method))
            assert maps.shape[1:] == (tuple(side - 2 for side in shape[2:]) if method == "grad_cam" else shape[2:])
    flat = nn.Linear(8, 2)
    for method in ("integrated_gradients", "occlusion"):
        assert attribute(flat, torch.rand(3, 8), [0, 1, 1], Attribution(method)).shape == (3, 8)


def test_samples_are_explained_alike_in_batches_of_any_size(net):
    for method in METHODS:
        whole = attribute(net, IMAGES, TARGETS, Attribution(method), layer="conv2")
        parts = attribute(net, IMAGES, TARGETS, Attribution(method, batch_size=5), layer="conv2")
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


def test_half_precision_is_close_to_full(net):
    half = TinyNet()
    half.load_state_dict(net.state_dict())
    half.bfloat16()
    for method in ("grad_cam", "integrated_gradients"):
        whole = attribute(net, IMAGES, TARGETS, Attribution(method), layer="conv2")
        rough = attribute(half, IMAGES.bfloat16(), TARGETS, Attribution(method), layer="conv2")
        assert nn.functional.cosine_similarity(whole.flatten(1), rough.flatten(1)).mean() > 0.98


# ---- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "fc1"}, r"fc1 has no places to look at.*got shape \(12, 16\)"),
        ({"layer": "conv9"}, "the model has no layer 'conv9'; its layers are: conv1, norm"),
        ({"scores": "conv1"}, "expected class scores.*name the layer that returns them"),
    ],
    ids=str,
)
def test_layers_that_do_not_fit(options, message, net):
    with pytest.raises(ValueError, match=message):
        attribute(net, IMAGES, TARGETS, **options)


def test_classes_and_inputs_that_do_not_fit(net):
    with pytest.raises(ValueError, match="expected a class from 0 to 3 for each input"):
        attribute(net, IMAGES, [4] * 12)
    with pytest.raises(ValueError, match="expected a class from 0 to 3 for each input"):
        attribute(net, IMAGES, [0])
    words = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 4))
    with pytest.raises(ValueError, match=r"occlusion needs floating-point inputs, got whole numbers: torch\.int64"):
        attribute(words, torch.zeros(3, 6, dtype=torch.long), [0, 1, 2], Attribution("occlusion"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lime"}, "expected method to be one of grad_cam"),
        ({"steps": 0}, "expected steps to be at least 1"),
        ({"window": 0}, "expected window to be at least 1"),
        ({"baseline": "black"}, 'expected baseline to be "mean" or a number'),
        ({"baseline": True}, 'expected baseline to be "mean" or a number'),
    ],
    ids=str,
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        Attribution(**arguments)


def test_where_captum_is_missing_the_message_says_what_to_install(monkeypatch, net):
    monkeypatch.setattr(saliency, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "lightning-cnnviz\[saliency\]"'):
        require_captum()
    with pytest.raises(ImportError, match="captum"):
        attribute(net, IMAGES, TARGETS)
