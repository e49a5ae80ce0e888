"""A pass of our own is one in the training's precision, and what keeps it from being one is said."""

import pytest
import torch
from helpers.tiny import TinyData, TinyNet, trainer

from lightning_cnnviz.errors import ConfigurationError, NotRunAgainError
from lightning_cnnviz.model.own_pass import own_pass, run_on

IMAGES = TinyData(5).images


@pytest.mark.parametrize("error", [ConfigurationError("classes"), NotRunAgainError("it reads a file")])
def test_errors_that_say_it_all_stay_as_they_are(error, tmp_path):
    with pytest.raises(type(error)) as caught, own_pass(trainer(tmp_path), TinyNet()):
        raise error
    assert caught.value is error


def test_other_errors_say_what_follows(tmp_path):
    words = "only what its own validation shows is drawn, from the second one on: KeyError: 'mask'"
    with pytest.raises(ValueError, match=words), own_pass(trainer(tmp_path), TinyNet()):
        raise KeyError("mask")


def test_activations_and_output_are_the_models(tmp_path):
    net = TinyNet()
    seen = run_on(trainer(tmp_path), net, IMAGES, ["fc1"])
    net.eval()
    torch.testing.assert_close(seen.output, net(IMAGES).detach())
    scored = run_on(trainer(tmp_path), net, IMAGES, ["conv1"], scores="fc1")
    torch.testing.assert_close(scored.output, seen.layers["fc1"])
