import copy
import pickle
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import nn

from lightning_cnnviz.statistics.epoch_means import EpochMeans
from lightning_cnnviz.statistics.step_buffer import MAX_ELEMENTS

CPU = SingleDeviceStrategy(device="cpu")
Named = namedtuple("Named", ["image", "label"])


@dataclass
class Batch:
    image: torch.Tensor
    label: torch.Tensor


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, 4, generator=generator), torch.randint(0, 3, (size,), generator=generator))
        for size in sizes
    ]


def by_hand(model, data):
    """Loss and accuracy over all samples, in float64."""
    x, y = (torch.cat(parts).numpy() for parts in zip(*data, strict=True))
    layer = model[-1]
    scores = x.astype(np.float64) @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
    log = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return {"loss": -log[np.arange(len(y)), y].mean(), "accuracy": (scores.argmax(axis=1) == y).mean()}


def hooks(module):
    return sum(len(part._forward_hooks) for part in module.modules())


def run(means, model, data, wrap=lambda x, y: (x, y), returned=lambda loss: loss, scale=1.0):
    for x, y in data:
        batch = wrap(x, y)
        means.start_capture(model, batch)
        loss = nn.functional.cross_entropy(model(x), y) / scale
        means.add(returned(loss), batch, scale=scale)
    return means.end(CPU)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x, y: (x, y),
        lambda x, y: [x, y],
        lambda x, y: {"image": x, "label": y},
        lambda x, y: {"count": torch.tensor(3), "image": x, "label": y},
        Named,
        Batch,
    ],
    ids=["tuple", "list", "dict", "dict with a number", "named tuple", "dataclass"],
)
def test_means_are_over_the_samples_not_over_the_batches(wrap):
    data, model = batches(8, 8, 1), net()
    expected = by_hand(model, data)
    found = run(EpochMeans(), model, data, wrap)
    assert found == pytest.approx(expected, rel=1e-5)
    over_batches = np.mean([by_hand(model, [one])["loss"] for one in data])
    assert abs(over_batches - expected["loss"]) > 1e-3


@pytest.mark.parametrize(
    "returned",
    [
        lambda loss: loss,
        lambda loss: {"loss": loss, "other": 1},
        lambda loss: loss[None],
        lambda loss: {"loss": loss[None]},
    ],
)
def test_the_loss_is_taken_out_of_what_a_step_returns(returned):
    data, model = batches(8, 3), net()
    assert run(EpochMeans(), model, data, returned=returned) == pytest.approx(by_hand(model, data), rel=1e-5)


@pytest.mark.parametrize(
    "returned", [lambda _: None, lambda _: {}, lambda _: {"other": 1}, lambda loss: loss.repeat(2)]
)
def test_without_a_loss_there_is_only_accuracy(returned):
    data, model = batches(8, 3), net()
    found = run(EpochMeans(), model, data, returned=returned)
    assert found == {"accuracy": pytest.approx(by_hand(model, data)["accuracy"])}


def test_the_share_of_an_accumulated_batch_is_scaled_back():
    data, model = batches(8, 3), net()
    assert run(EpochMeans(), model, data, scale=4.0) == pytest.approx(by_hand(model, data), rel=1e-5)


def test_without_class_numbers_there_is_only_the_loss():
    data, model = batches(8, 3), net()
    found = run(EpochMeans(), model, data, wrap=lambda x, y: x)
    assert found == {"loss": pytest.approx(by_hand(model, data)["loss"], rel=1e-5)}
    assert hooks(model) == 0


def test_a_batch_without_inputs_is_no_error():
    means = EpochMeans()
    means.start_capture(net(), ["text"])
    means.add(torch.tensor(2.0), ["text"])
    means.add(torch.tensor(4.0), None)
    assert means.end(CPU) == {"loss": 3.0}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_loss_of_any_precision_is_summed_in_float32(dtype):
    means = EpochMeans()
    low, high = (torch.tensor(value, dtype=dtype) for value in (0.3, 1.1))
    for _ in range(999):
        means.add(low, torch.zeros(7, 4))
    means.add(high, torch.zeros(7, 4))
    assert means.end(CPU)["loss"] == pytest.approx((999 * low.double().item() + high.double().item()) / 1000, rel=1e-5)


def test_a_loss_that_is_not_finite_shows():
    means = EpochMeans()
    means.add(torch.tensor(1.0), torch.zeros(3, 4))
    means.add(torch.tensor(float("nan")), torch.zeros(3, 4))
    assert np.isnan(means.end(CPU)["loss"])


def test_every_epoch_begins_anew():
    model, means = net(), EpochMeans()
    first, second = batches(8, 3), batches(5)
    assert run(means, model, first) == pytest.approx(by_hand(model, first), rel=1e-5)
    assert run(means, model, second) == pytest.approx(by_hand(model, second), rel=1e-5)
    assert means.end(CPU) == {}


def test_the_loss_keeps_its_graph_and_the_sums_have_none():
    model, means = net(), EpochMeans()
    ((x, y),) = batches(4)
    means.start_capture(model, (x, y))
    loss = nn.functional.cross_entropy(model(x), y)
    means.add(loss, (x, y))
    assert not any(total.requires_grad for total in means.sums().values())
    loss.backward()
    assert model[1].weight.grad is not None


def test_a_named_layer_gives_the_scores():
    model = nn.ModuleDict({"scores": nn.Linear(4, 3), "other": nn.Linear(3, 3)})
    ((x, y),) = batches(6)
    means = EpochMeans()
    means.start_capture(model, (x, y), layer="scores")
    scores = model["scores"](x)
    model["other"](scores)
    means.add(None, (x, y))
    assert means.end(CPU) == {"accuracy": pytest.approx((scores.argmax(1) == y).float().mean().item())}


@pytest.mark.parametrize("sizes", [[7] * 1300, [5000, 3, 9000, 1], [1] * 100], ids=["many", "large", "few"])
def test_means_over_many_batches_are_those_of_all_samples_and_few_tensors_wait(sizes):
    data, model, means = batches(*sizes), net(), EpochMeans()
    means.sums()
    most = 0
    for x, y in data:
        means.start_capture(model, (x, y))
        means.add(nn.functional.cross_entropy(model(x), y), (x, y))
        most = max(most, sum(room.numel() for room in means._buffer._storage))
    assert means.end(CPU) == pytest.approx(by_hand(model, data), rel=1e-5)
    assert most <= MAX_ELEMENTS


def test_what_waits_holds_nothing_of_the_batch():
    model, means = net(), EpochMeans()
    ((x, y),) = batches(6)
    losses = nn.functional.cross_entropy(model(x), y, reduction="none").detach()
    expected = {"loss": losses[0].item(), "accuracy": (model(x).argmax(1) == y).float().mean().item()}
    means.start_capture(model, (x, y))
    model(x)
    means.add(losses[:1], (x, y))
    losses.zero_()
    x.zero_()
    y.fill_(99)
    assert means.end(CPU) == pytest.approx(expected)


# ---- whom it listens to


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.body(x))


def heard(means, model, step, data):
    """Hits and samples that are heard of each batch, while `step` calls the model or its parts."""
    counted = []
    for x, y in data:
        means.start_capture(model, (x, y))
        listening = hooks(model)
        step(x)
        means.add(None, (x, y))
        counted.append((listening, *means.sums().get("accuracy", torch.zeros(2)).tolist()))
        means.end(CPU)
    return counted


def test_children_are_listened_to_until_the_model_itself_was_heard():
    model, data = Parts(), batches(6, 5, 4)
    hits = [(model(x).argmax(1) == y).sum().item() for x, y in data]
    assert heard(EpochMeans(), model, model, data) == [(3, hits[0], 6), (1, hits[1], 5), (1, hits[2], 4)]


def test_children_that_are_called_by_themselves_are_heard_in_every_batch():
    model, data = Parts(), batches(6, 5, 4)
    hits = [(model(x).argmax(1) == y).sum().item() for x, y in data]
    by_parts = lambda x: model.head(model.body(x))  # noqa: E731
    assert heard(EpochMeans(), model, by_parts, data) == [(3, hits[0], 6), (3, hits[1], 5), (3, hits[2], 4)]


def test_of_a_model_that_changes_its_way_one_batch_is_passed_over():
    model, means, data = Parts(), EpochMeans(), batches(6, 5, 4)
    hits = [(model(x).argmax(1) == y).sum().item() for x, y in data]
    heard(means, model, model, data)
    by_parts = lambda x: model.head(model.body(x))  # noqa: E731
    assert heard(means, model, by_parts, data) == [(1, 0, 0), (3, hits[1], 5), (3, hits[2], 4)]
    assert [listening for listening, *_ in heard(means, model, model, data)] == [3, 3, 3]


# ---- nothing stays behind


def test_after_every_batch_nobody_listens():
    model, means = net(), EpochMeans()
    run(means, model, batches(4, 4))
    assert hooks(model) == 0


def test_deafen_stops_listening():
    model, means = net(), EpochMeans()
    ((x, y),) = batches(4)
    means.start_capture(model, (x, y))
    assert hooks(model) > 0
    model(x)
    means.stop_capture()
    assert hooks(model) == 0
    means.add(None, (x, y))
    assert means.end(CPU) == {}


def test_a_batch_that_was_skipped_leaves_no_hook_behind():
    model, means = net(), EpochMeans()
    (one, other) = batches(4, 4)
    means.start_capture(model, one)  # its end never comes
    means.start_capture(model, other)
    model(other[0])
    means.add(None, other)
    assert hooks(model) == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda means: pickle.loads(pickle.dumps(means))])
def test_copies_keep_the_sums_and_do_not_listen(copied):
    model, means = net(), EpochMeans()
    one, other = batches(4, 6)
    means.start_capture(model, one)
    model(one[0])
    means.add(torch.tensor(2.0), one)
    means.start_capture(model, other)
    twin = copied(means)
    expected = {"loss": 2, "accuracy": by_hand(model, [one])["accuracy"]}
    model(other[0])
    twin.add(None, other)  # heard nothing of it
    assert twin.end(CPU) == pytest.approx(expected)
    means.stop_capture()
    assert hooks(model) == 0
    assert means.end(CPU) == pytest.approx(expected)


def test_targets_that_are_no_class_do_not_count():
    model, means = net(), EpochMeans()
    ((x, y),) = batches(40)
    y[::2] = -100
    y[1] = 3  # one more than there are
    means.start_capture(model, (x, y))
    predicted = model(x).argmax(1)
    means.add(None, (x, y))
    assert means.sums()["accuracy"].tolist() == [(predicted == y).sum(), 19]


def test_a_few_logits_that_look_like_probabilities_are_logits_where_others_were():
    means = EpochMeans()
    for scores, classes in (([-1.0, 2.0, 0.4], [0, 1, 1]), ([0.4, 0.3], [1, 0])):
        x, y = torch.tensor(scores)[:, None], torch.tensor(classes)
        means.start_capture(identity := torch.nn.Identity(), (x, y))
        identity(x)
        means.add(None, (x, y))
    assert means.sums()["accuracy"].tolist() == [3 + 1, 5]


@pytest.mark.parametrize("losses", [[torch.tensor(0), 0.9, 0.9], [torch.tensor(1.0).half(), 70000.0, 70000.0]])
def test_a_loss_of_another_type_in_the_first_step_changes_no_later_one(losses):
    means = EpochMeans()
    for loss in losses:
        means.add(torch.as_tensor(loss), torch.zeros(3, 4))
    assert means.end(CPU)["loss"] == pytest.approx(sum(map(float, losses)) / 3, rel=1e-6)


def test_what_fails_at_the_end_of_an_epoch_is_raised_after_all_ranks_met_and_the_next_epoch_is_its_own(monkeypatch):
    model, means, met, data = net(), EpochMeans(), [], batches(6, 6, 6)
    for x, y in data:
        means.add(nn.functional.cross_entropy(model(x), y), (x, y))
    monkeypatch.setattr(CPU, "reduce", lambda tensor, **_: met.append(tensor) or tensor)
    monkeypatch.setattr(EpochMeans, "_add", lambda *_: {}["broken"])
    with pytest.raises(KeyError, match="broken"):
        means.end(CPU)
    assert len(met) == 2
    monkeypatch.undo()
    assert run(means, model, data) == pytest.approx(by_hand(model, data), rel=1e-5)
