"""Activations that are put together from batches are those of a pass of our own, or there are none."""

import pytest
import torch
from helpers.stateful import Net
from torch import nn

from lightning_cnnviz.model.capture import record
from lightning_cnnviz.model.forward_tap import ForwardTap, Heard
from lightning_cnnviz.statistics.heard_pass import HeardPass

IMAGES = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(1))
BATCHES = IMAGES.split(8)
PLACES = [(2, 3), (0, 7), (2, 0), (0, 1), (0, 4)]
CHOSEN = torch.stack([BATCHES[batch][row] for batch, row in PLACES])
LAYERS = ["conv", "norm", "fc.input", "fc"]


def validate(net, heard, batches=BATCHES, tapped=LAYERS):
    """Runs the model batch by batch, as the user's validation would, and hands over what was captured."""
    net.eval()
    for number, batch in enumerate(batches):
        rows = heard.rows(number)
        tap = ForwardTap(net, batch, tapped if rows else [], rows)
        with torch.no_grad():
            net(batch)
        captured = tap.close()
        if rows:
            heard.add(number, captured)
    return heard.activations()


def of_batches(*batches):
    """What was captured of two samples in each of these batches, which are described by a dictionary each."""
    x = torch.arange(4.0).reshape(4, 1)
    heard = HeardPass(x, [(0, 0), (1, 0), (0, 1), (1, 1)], ["fc"], step=3)
    for number, batch in enumerate(batches):
        assert heard.rows(number) == [0, 1]
        inputs = x[[number, number + 2]]
        given = {"inputs": inputs, "scores": inputs * 10, "layers": {"fc": inputs * 100}, **batch}
        heard.add(number, None if batch.get("uncertain") else Heard(**given))
    return heard.activations()


# ---- the same as a pass of our own


def test_the_activations_are_those_of_a_pass_of_our_own():
    net = Net()
    expected = record(net, CHOSEN, LAYERS)
    found = validate(net, HeardPass(CHOSEN, PLACES, LAYERS, step=0))
    assert list(found.layers) == list(expected.layers)
    for name, activations in expected.layers.items():
        assert torch.allclose(found.layers[name], activations, atol=1e-5), name
    assert torch.allclose(found.output, expected.output, atol=1e-5)


@pytest.mark.parametrize("sizes", [[1] * 24, [5, 5, 5, 5, 4], [24]])
def test_the_order_of_the_samples_is_kept_over_any_batches(sizes):
    net, batches = Net(), IMAGES.split(sizes)
    everywhere = [(number, row) for number, size in enumerate(sizes) for row in range(size)]
    order = torch.randperm(24).tolist()
    heard = HeardPass(IMAGES[order], [everywhere[number] for number in order], ["conv"], step=0)
    found = validate(net, heard, batches, ["conv"])
    assert torch.allclose(found.layers["conv"], record(net, IMAGES[order], ["conv"]).layers["conv"], atol=1e-5)
    assert torch.allclose(found.output, record(net, IMAGES[order], []).output, atol=1e-5)


def test_only_the_rows_of_the_samples_are_wanted():
    heard = HeardPass(CHOSEN, PLACES, LAYERS, step=5)
    assert [heard.rows(batch) for batch in range(4)] == [[7, 1, 4], [], [3, 0], []]
    assert (heard.step, heard.layers) == (5, LAYERS)


def test_batches_are_put_together_in_the_order_of_the_samples():
    found = of_batches({}, {})
    assert found.layers["fc"].flatten().tolist() == [0, 100, 200, 300]
    assert found.output.flatten().tolist() == [0, 10, 20, 30]


# ---- nothing unless all is there


def test_without_the_last_batch_there_is_nothing():
    assert of_batches({}) is None
    net = Net()
    assert validate(net, HeardPass(CHOSEN, PLACES, LAYERS, step=0), BATCHES[:2]) is None


@pytest.mark.parametrize("which", [0, 2])
def test_of_other_inputs_there_is_nothing_and_no_more_is_wanted(which):
    batches = [batch.clone() for batch in BATCHES]
    row = PLACES[0 if which == 2 else 1][1]
    batches[which][row] += 1e-3
    heard = HeardPass(CHOSEN, PLACES, LAYERS, step=0)
    assert validate(Net(), heard, batches) is None
    assert [heard.rows(batch) for batch in range(3)] == [[], [], []]


def test_a_row_that_is_not_shown_may_differ():
    batches = [batch.clone() for batch in BATCHES]
    batches[0][2] += 1
    assert validate(Net(), HeardPass(CHOSEN, PLACES, LAYERS, step=0), batches) is not None


def test_of_a_shuffled_validation_there_is_nothing():
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    assert validate(Net(), HeardPass(CHOSEN, PLACES, LAYERS, step=0), IMAGES[order].split(8)) is None


def test_of_inputs_of_another_precision_there_is_nothing():
    x = torch.ones(2, 1)
    for given in (x, x.half()):
        heard = HeardPass(x, [(0, 0), (0, 1)], ["fc"], step=0)
        heard.add(0, Heard(given, None, {"fc": given}))
        assert (heard.activations() is None) == (given.dtype == torch.float16)


def test_of_a_batch_that_is_too_short_there_is_nothing():
    heard = HeardPass(torch.ones(2, 1), [(0, 1), (0, 2)], ["fc"], step=0)
    heard.add(0, Heard(torch.ones(2, 1), None, {"fc": torch.ones(2, 1)}))
    assert heard.activations() is None
    assert heard.rows(0) == []


def test_if_one_batch_is_uncertain_there_is_nothing():
    assert of_batches({}, {"uncertain": True}) is None
    assert of_batches({"uncertain": True}) is None


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("what", ["scores", "layers"])
def test_if_the_batches_gave_different_shapes_there_is_nothing(which, what):
    wide = torch.ones(2, 3)
    batches = [{}, {}]
    batches[which] = {what: {"fc": wide} if what == "layers" else wide}
    assert of_batches(*batches) is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_layer_that_is_missing_in_a_batch_is_missing(which):
    batches = [{}, {}]
    batches[which] = {"layers": {}}
    found = of_batches(*batches)
    assert found.layers == {}
    assert found.output.flatten().tolist() == [0, 10, 20, 30]


def test_a_layer_that_ran_for_some_batches_only_is_missing():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.rare, self.fc = nn.Identity(), nn.Linear(36, 3)

        def forward(self, x):
            x = x.flatten(1)
            return self.fc(self.rare(x) if torch.equal(x[0], IMAGES[0].flatten()) else x)

    net, layers = Branching(), ["rare", "fc"]
    found = validate(net, HeardPass(CHOSEN, PLACES, layers, step=0), tapped=layers)
    assert list(found.layers) == ["fc"]
    assert torch.allclose(found.layers["fc"], net.fc(CHOSEN.flatten(1)), atol=1e-5)


@pytest.mark.parametrize(("sizes", "several"), [([8, 8, 8], False), ([8, 8, 5], True), ([24], False)])
def test_whether_the_batches_differed_in_size_is_known(sizes, several):
    batches = IMAGES[: sum(sizes)].split(sizes)
    heard = HeardPass(torch.stack([batches[-1][0], batches[0][1]]), [(len(sizes) - 1, 0), (0, 1)], ["fc"], step=0)
    assert not heard.several_sizes
    validate(Net(), heard, batches, ["fc"])
    assert heard.several_sizes == several


@pytest.mark.parametrize("which", [0, 1])
def test_without_the_scores_of_a_batch_there_is_no_output_but_the_layers_are(which):
    batches = [{}, {}]
    batches[which] = {"scores": None}
    found = of_batches(*batches)
    assert found.output is None
    assert found.layers["fc"].flatten().tolist() == [0, 100, 200, 300]


def test_what_is_kept_of_inputs_and_scores_is_copied():
    x, scores = torch.ones(1, 1), torch.ones(1, 2)
    heard = HeardPass(torch.ones(1, 1), [(0, 0)], [], step=0)
    heard.add(0, Heard(x, scores, {}))
    scores.fill_(7)
    assert heard.activations().output.tolist() == [[1, 1]]
