import threading

import numpy as np
import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy
from sklearn.metrics import confusion_matrix

from lightning_cnnviz.data.scores import confidences
from lightning_cnnviz.model.score_listener import ScoredBatch, ScoreListener
from lightning_cnnviz.statistics.class_tally import MAX_MATRIX_CLASSES, ClassTally

CPU = SingleDeviceStrategy(device="cpu")


def batches(classes, *sizes, seed=0):
    """Images that are told apart by their value, targets and scores with ties to neither."""
    rng = np.random.default_rng(seed)
    total = sum(sizes)
    images = torch.arange(total, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    targets = torch.from_numpy(rng.integers(0, classes, total))
    scores = torch.from_numpy(rng.normal(size=(total, classes)) * 2).float()
    return [
        ScoredBatch(*parts) for parts in zip(*(part.split(sizes) for part in (images, targets, scores)), strict=True)
    ]


def tallied(data, max_mistakes=16, max_samples=20):
    tally = ClassTally(max_mistakes, max_samples)
    for heard in data:
        tally.add(heard)
    return tally


def whole(data):
    return [torch.cat(parts).double().numpy() for parts in zip(*(heard[:3] for heard in data), strict=True)]


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5, 100])
def test_counts_are_those_of_the_reference(classes):
    data = batches(classes, 64, 64, 7)
    _, targets, scores = whole(data)
    totals = tallied(data).totals(CPU)
    expected = confusion_matrix(targets, scores.argmax(axis=1), labels=range(classes))
    assert totals.counts.numpy().tolist() == expected.tolist()
    assert totals[1:] == (0, 0, 0)


def test_counts_of_more_samples_than_wait_are_complete():
    data = batches(5, 4000, 90, 3000, 2000, 2)
    _, targets, scores = whole(data)
    tally = tallied(data[:3])
    assert int(tally.counts.sum()) == 7090
    for heard in data[3:]:
        tally.add(heard)
    expected = confusion_matrix(targets, scores.argmax(axis=1), labels=range(5))
    assert tally.totals(CPU).counts.numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("kept", [1, 5, 16, 1000])
def test_the_surest_mistakes_are_those_of_all_samples_sorted(kept):
    data = batches(4, 20, 3, 30, 11)
    images, targets, scores = whole(data)
    probabilities = softmax(scores)
    wrong = np.flatnonzero(scores.argmax(axis=1) != targets)
    expected = wrong[np.argsort(-probabilities.max(axis=1)[wrong])][:kept]
    found = tallied(data, max_mistakes=kept).mistakes
    assert found.images[:, 0, 0, 0].tolist() == images[expected, 0, 0, 0].tolist()
    assert found.true.tolist() == targets[expected].tolist()
    assert found.predicted.tolist() == scores.argmax(axis=1)[expected].tolist()
    np.testing.assert_allclose(found.confidence, probabilities.max(axis=1)[expected], rtol=1e-5)


def test_the_samples_are_the_first_ones():
    data = batches(4, 8, 8, 8)
    images, targets, scores = whole(data)
    found = tallied(data, max_samples=11).samples
    assert found.images[:, 0, 0, 0].tolist() == images[:11, 0, 0, 0].tolist()
    assert found.true.tolist() == targets[:11].tolist()
    assert found.predicted.tolist() == scores[:11].argmax(axis=1).tolist()


def test_targets_that_are_no_class_are_left_out_and_counted():
    data = batches(4, 30)
    data[0].targets[:5] = torch.tensor([-100, -1, 4, 99, -100])
    totals, tally = tallied(data).totals(CPU), tallied(data, max_mistakes=30)
    _, targets, scores = whole(data)
    assert totals.counts.numpy().tolist() == confusion_matrix(targets[5:], scores[5:].argmax(axis=1)).tolist()
    assert (totals.ignored, totals.beyond) == (3, 2)
    assert len(tally.mistakes.true) == (targets[5:] != scores[5:].argmax(axis=1)).sum()
    assert tally.samples.true[:5].tolist() == [-100, -1, 4, 99, -100]


def test_scores_that_are_not_finite_are_counted_and_no_sure_mistakes():
    (heard,) = batches(3, 12)
    heard.scores[0], heard.scores[1, 2] = float("nan"), float("inf")
    heard.targets[:2] = torch.tensor([2, 0])
    totals = tallied([heard]).totals(CPU)
    assert totals.non_finite == 2
    assert totals.counts.sum() == 12
    assert tallied([heard]).mistakes.images[:, 0, 0, 0].min() >= 2


def test_one_output_makes_two_classes():
    logits, targets = torch.tensor([-2.0, 0.5, 3.0, -0.1]), torch.tensor([0, 0, 1, 1])
    images = torch.arange(4.0).reshape(4, 1, 1, 1)
    for scores in (logits, logits[:, None], logits.sigmoid(), logits.sigmoid()[:, None]):
        tally = tallied([ScoredBatch(images, targets, scores)])
        assert tally.totals(CPU).counts.tolist() == [[1, 1], [1, 1]]
        assert tally.mistakes.images.flatten().tolist() == [1, 3]
        expected = [1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(-0.1))]
        np.testing.assert_allclose(tally.mistakes.confidence, expected, rtol=1e-6)


def test_one_output_with_other_targets_is_no_classifier():
    ages = ScoredBatch(torch.rand(3, 1, 4, 4), torch.tensor([1, 37, 80]), torch.tensor([[3.0], [30.0], [81.0]]))
    assert tallied([ages]).totals(CPU) is None


def test_nothing_heard_is_nothing_to_report():
    assert tallied([]).totals(CPU) is None
    image_like = ScoredBatch(torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 0]), torch.rand(3, 2, 4, 4))
    assert tallied([image_like]).totals(CPU) is None


@pytest.mark.parametrize("last", [3, 6])
def test_another_number_of_classes_than_before_is_refused(last):
    with pytest.raises(ValueError, match=f"scores of 4 classes as before, got {last}"):
        tallied([*batches(4, 8), *batches(last, 8)])


def test_more_classes_than_a_matrix_can_hold_are_refused():
    scores = torch.zeros(2, MAX_MATRIX_CLASSES + 1)
    with pytest.raises(ValueError, match=r"at most 4096 classes for a confusion matrix, got 4097"):
        tallied([ScoredBatch(torch.rand(2, 1), torch.tensor([0, 1]), scores)])


def test_inputs_of_another_size_are_refused_but_counted():
    first, second = batches(3, 8, 8)
    larger = second._replace(inputs=torch.rand(8, 1, 5, 5))
    tally = tallied([first])
    with pytest.raises(ValueError, match=r"inputs of one size to show, got \(1, 2, 2\) and \(1, 5, 5\)"):
        tally.add(larger)
    assert tally.totals(CPU).counts.sum() == 16


class Rank:
    """A strategy on one of several threads, reducing as processes do."""

    root_device = torch.device("cpu")

    def __init__(self, index, there, barrier):
        self.index, self.there, self.barrier = index, there, barrier

    def reduce(self, tensor, reduce_op):
        self.there[self.index] = tensor
        self.barrier.wait(20)
        parts = torch.stack([self.there[rank] for rank in sorted(self.there)])
        self.barrier.wait(20)
        return parts.amax(dim=0) if reduce_op == "max" else parts.sum(dim=0)


@pytest.mark.parametrize("second", [[], batches(4, 9, 5, seed=1)], ids=["no data", "data"])
def test_totals_are_over_all_ranks_whatever_each_heard(second):
    shares = [batches(4, 8, 7), second]
    shares[0][0].targets[0] = -100
    there, barrier, found = {}, threading.Barrier(2), {}

    def work(rank):
        found[rank] = tallied(shares[rank]).totals(Rank(rank, there, barrier))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    _, targets, scores = whole([*shares[0], *shares[1]])
    expected = confusion_matrix(targets[1:], scores[1:].argmax(axis=1), labels=range(4))
    for rank in (0, 1):
        assert found[rank].counts.numpy().tolist() == expected.tolist()
        assert found[rank].ignored == 1


# ---- how sure the model is


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_confidence_is_the_softmax_of_logits(dtype):
    logits = torch.randn(50, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = softmax(logits.double().numpy()).max(axis=1)
    found = confidences(logits)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(confidences(logits.double().log_softmax(dim=1)), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_probabilities_are_taken_as_they_are(dtype):
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    probabilities = logits.softmax(dim=1).to(dtype)
    assert torch.equal(confidences(probabilities), probabilities.float().amax(dim=1))


def test_a_broken_row_leaves_the_others_their_confidence():
    probabilities = torch.tensor([[0.2, 0.8], [float("nan"), 0.5], [0.6, 0.4]])
    found = confidences(probabilities)
    assert found[[0, 2]].tolist() == pytest.approx([0.8, 0.6])
    assert not found[1].isfinite()


# ---- what is heard


def test_a_listener_gives_the_batch_with_its_scores():
    net, listener = torch.nn.Linear(4, 3), ScoreListener()
    x, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    listener.start(net, {"image": x, "label": y})
    scores = net(x)
    heard = listener.stop()
    assert torch.equal(heard.inputs, x)
    assert torch.equal(heard.targets, y)
    assert torch.equal(heard.scores, scores)
    assert not heard.scores.requires_grad
    assert not net._forward_hooks
    assert listener.stop() is None


def test_a_batch_of_probabilities_is_read_as_such_whatever_comes_next():
    certain = ScoredBatch(torch.rand(2, 1, 4, 4), torch.tensor([0, 1]), torch.tensor([[0.1, 0.9], [0.8, 0.2]]))
    logits = ScoredBatch(torch.rand(2, 1, 4, 4), torch.tensor([0, 1]), torch.tensor([[3.0, 5.0], [2.0, 1.0]]))
    tally = tallied([certain, certain, logits], max_mistakes=8)
    expected = [0.9, 0.9, 0.8, 0.8, *(1 / (1 + np.exp([-2.0, -1.0])))]
    np.testing.assert_allclose(tally.mistakes.confidence, sorted(expected, reverse=True), rtol=1e-6)


def test_scores_without_columns_are_passed_over():
    assert (
        tallied([ScoredBatch(torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 0]), torch.zeros(3, 0))]).totals(CPU) is None
    )


def test_what_fails_at_the_end_is_raised_after_all_ranks_met(monkeypatch):
    data, met = batches(3, 8, 8, 8), []
    tally = tallied(data)
    monkeypatch.setattr(CPU, "reduce", lambda tensor, **_: met.append(tensor) or tensor)
    monkeypatch.setattr(ClassTally, "_keep", lambda *_: {}["broken"])
    with pytest.raises(KeyError, match="broken"):
        tally.totals(CPU)
    assert len(met) == 3
