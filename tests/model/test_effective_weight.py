import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from lightning_cnnviz.model.effective_weight import is_transformed, refreshed_weight, weight_note

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")


@pytest.mark.parametrize(
    "wrap", [weight_norm, spectral_norm, lambda layer: prune.random_unstructured(layer, "weight", 0.5)]
)
def test_a_weight_that_is_computed_before_each_pass_is_computed_from_the_parameters_of_now(wrap):
    layer = wrap(nn.Conv2d(2, 3, 3)).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2).add_(0.1)
    stale = layer.weight.detach().clone()
    found = refreshed_weight(layer, layer.weight).detach().clone()
    assert torch.equal(layer.weight, stale), "the layer itself stays as it is"
    layer(torch.rand(1, 2, 5, 5))  # computes it
    torch.testing.assert_close(found, layer.weight.detach())
    assert not torch.allclose(stale, found)


def test_a_plain_weight_is_taken_as_it_is():
    layer = nn.Conv2d(2, 3, 3)
    assert refreshed_weight(layer, layer.weight) is layer.weight


class Standardised(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


class Inner(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight.sign(), bias)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv1d(1, 2, 3), False),
        (nn.ConvTranspose3d(1, 2, 3), False),
        (prune.random_unstructured(nn.Conv2d(1, 2, 3), "weight", 0.5), False),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)), False),
        (Standardised(1, 2, 3), True),
        (Inner(1, 2, 3), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_forward_pass_of_its_own_may_transform_the_weight(layer, expected):
    assert is_transformed(layer) is expected


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda layer: layer, ""),
        (lambda layer: prune.random_unstructured(layer, "weight", 0.5), "after pruning"),
        (lambda layer: prune.l1_unstructured(prune.ln_structured(layer, "weight", 0.5, 2, 0), "weight", 1), "pruning"),
        (weight_norm, "after WeightNorm"),
        (spectral_norm, "after SpectralNorm"),
        (parametrizations.weight_norm, "after WeightNorm"),
        (parametrizations.orthogonal, "after Orthogonal"),
    ],
)
def test_it_is_said_which_weight_is_shown(wrap, words):
    assert weight_note(wrap(nn.Conv2d(2, 3, 3))).endswith(words)
    assert bool(weight_note(wrap(nn.Conv2d(2, 3, 3)))) == bool(words)
