"""What a network's class scores are, and where Grad-CAM looks by default."""

import pytest
import torch
from helpers.tiny import Flat, TinyData, TinyNet
from torch import nn

from lightning_cnnviz.functional.saliency.explained import Explained, saliency_layer

IMAGES = TinyData(6).images


def test_scores_are_those_of_the_model_or_of_a_named_layer():
    net = TinyNet().eval()
    with torch.no_grad():
        expected = net(IMAGES)
    assert torch.equal(Explained(net, IMAGES).scores, expected)
    assert Explained(net, IMAGES, "fc1").scores.shape == (6, 16)


class Answer(TinyNet):
    def forward(self, x):
        return {"maps": x, "logits": super().forward(x)}


def test_scores_are_found_in_what_the_model_returns():
    assert Explained(Answer().eval(), IMAGES).scores.shape == (6, 4)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_a_single_score_is_that_of_the_second_class(shape):
    class Single(nn.Module):
        def forward(self, x):
            return x.mean(dim=(1, 2, 3)).reshape(shape)

    means = IMAGES.mean(dim=(1, 2, 3))
    torch.testing.assert_close(Explained(Single(), IMAGES).scores, torch.stack([-means, means], dim=1))


def test_a_model_without_class_scores():
    with pytest.raises(ValueError, match="expected class scores"):
        _ = Explained(nn.Conv2d(1, 3, 3), IMAGES).scores


def test_what_the_model_does_to_its_inputs_stays_its_own():
    class Greedy(nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1).mul_(0) + 1)

    inputs = IMAGES.clone()
    explained = Explained(Greedy(64, 3), inputs)
    assert explained.scores.isfinite().all()
    assert torch.equal(inputs, IMAGES)
    assert torch.equal(explained.inputs, IMAGES)


class Branched(TinyNet):
    """With convolutions after the last one in its list, and such that no score depends on."""

    def __init__(self):
        super().__init__()
        self.aside = nn.Conv2d(8, 8, 3)
        self.unused = nn.Conv2d(8, 8, 3)
        self.conv2, self.early = self.early_and_late()

    def early_and_late(self):
        return nn.Conv2d(4, 8, 3), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        scores = super().forward(self.early(x))
        self.aside(torch.rand(len(x), 8, 4, 4))
        return scores


def test_the_last_convolution_is_the_last_to_run_of_those_on_which_a_score_depends():
    assert saliency_layer(Explained(Branched().eval(), IMAGES)) == "conv2"


def test_a_single_convolution_is_taken_where_there_are_no_patch_tokens():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LayerNorm(72), nn.Linear(72, 3))
    assert saliency_layer(Explained(net, IMAGES)) == "0"


@pytest.mark.parametrize("kind", ["flat", "dead"])
def test_without_a_convolution_that_matters_it_is_said_what_to_do(kind):
    net = Flat() if kind == "flat" else TinyNet()
    if kind == "dead":
        nn.init.zeros_(net.fc2.weight)
    with pytest.raises(ValueError, match=r"name a layer .* with layers=\[...\], or use integrated gradients or occl"):
        saliency_layer(Explained(net.eval(), IMAGES))


def test_outputs_in_a_tuple_and_of_other_kinds():
    class Pair(nn.Conv2d):
        def forward(self, x):
            found = super().forward(x)
            return self.kind((found, 7)) if self.kind is not dict else {"maps": found}

    class Net(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.conv, self.head = Pair(1, 2, 3), nn.Linear(72, 3)
            self.conv.kind = kind

        def forward(self, x):
            found = self.conv(x)
            return self.head((found["maps"] if isinstance(found, dict) else found[0]).flatten(1))

    for kind in (tuple, list):
        explained = Explained(Net(kind), IMAGES)
        with explained.placed("conv"):
            assert explained.forward(explained.inputs).shape == (6, 3)
        assert explained.alive
    explained = Explained(Net(dict), IMAGES)
    with pytest.raises(ValueError, match="expected conv to return a tensor, got dict"), explained.placed("conv"):
        explained.forward(explained.inputs)
