"""The standard set on models and batches of every kind: pictures of what there is to show, else one clear line."""

import warnings

import pytest
import torch
from helpers.networks import MODELS, Lazy, Small, TwoHeads, ViT
from helpers.tiny import events, fit, image_steps, scalars
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_cnnviz import LossAccuracy, cnnviz_callbacks
from lightning_cnnviz.model.capture import record


def loaders(kind):
    data = kind.data()
    return DataLoader(data, 8, collate_fn=kind.collate), DataLoader(data, 8, collate_fn=kind.collate)


def train(folder, kind, ours=(), wrap=lambda model: model, **options):
    torch.manual_seed(3)
    return fit(folder, ours, model=wrap(kind()), data=loaders(kind), max_epochs=1, **options)


def standard(**options):
    return cnnviz_callbacks(method="pca", history=0, num_samples=24, **options)


def state(run):
    return {name: value.clone() for name, value in run.lightning_module.state_dict().items()} | {
        "random": torch.get_rng_state()
    }


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("sanity", [0, 1], ids=["", "sanity check"])
@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_models(kind, sanity, tmp_path, told):
    bare = state(train(tmp_path / "bare", kind, num_sanity_val_steps=sanity))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train(tmp_path, kind, standard(), num_sanity_val_steps=sanity)
    for name, value in state(run).items():
        assert torch.equal(value, bare[name]), name  # training is as without us
    said = [str(warning.message) for warning in caught]
    words = "\n".join([*said, told()])
    assert {tag.split("/")[0] for tag in image_steps(tmp_path)} == kind.drawn, words
    for line in kind.lines:
        assert line in words
    failed = [message for message in said if "failed to draw" in message]
    assert all(any(line in message for line in kind.lines) for message in failed), failed


def test_a_compiled_module(tmp_path):
    run = train(tmp_path, Small, standard(on_error="raise"), wrap=lambda model: torch.compile(model, backend="eager"))
    drawn = {tag.split("/")[0] for tag in image_steps(tmp_path)}
    assert drawn == Small.drawn - {"activations", "class_report"}  # nothing is listened to in compiled code
    assert run.global_step == 3


def test_layers_inside_a_fused_transformer_are_seen(tmp_path):
    """What they return in evaluation is what the layer by itself makes of what it receives."""
    model = ViT().eval()
    x = torch.rand(3, 1, 8, 8)
    seen = record(model, x, ["encoder.layers.1.linear1.input", "encoder.layers.1.linear1"]).layers
    layer = model.encoder.layers[1].linear1
    expected = F.linear(seen["encoder.layers.1.linear1.input"], layer.weight, layer.bias)
    assert torch.allclose(seen["encoder.layers.1.linear1"], expected, atol=1e-6)
    assert torch.allclose(record(model, x, []).output, model(x), atol=1e-5)


def test_of_two_heads_no_accuracy_is_taken(tmp_path):
    train(tmp_path, TwoHeads, standard())
    tags = events(tmp_path).Tags()["scalars"]
    assert "curves/loss/train" in tags
    assert not [tag for tag in tags if tag.startswith("curves/accuracy")]
    train(tmp_path / "named", TwoHeads, [LossAccuracy(layers="classes", on_error="raise")])
    assert scalars(tmp_path / "named", "curves/accuracy/train")


def test_lazy_layers_have_gradients_from_the_first_step(tmp_path):
    train(tmp_path, Lazy, standard(on_error="raise"), num_sanity_val_steps=0)
    tags = [tag for tag in events(tmp_path).Tags()["scalars"] if tag.endswith("/norm")]
    assert tags == [f"gradient_flow/net.{place}/norm" for place in (0, 4, 5)]
