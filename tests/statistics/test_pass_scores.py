import numpy as np
import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy

from lightning_cnnviz.functional import sample_margins
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics import pass_scores
from lightning_cnnviz.statistics.pass_scores import PassScores


def batches(sizes, classes=5, seed=0):
    """Numbers of samples in a random order, and their batches."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(sum(sizes), generator=generator)
    for numbers in order.split(sizes):
        scores = torch.randn(len(numbers), classes, generator=generator)
        targets = torch.randint(classes, (len(numbers),), generator=generator)
        yield numbers.tolist(), ScoredBatch(torch.zeros(len(numbers), 1, 2, 2), targets, scores)


def collected(data):
    scores = PassScores()
    for numbers, batch in data:
        scores.add(numbers, batch)
    return scores


@pytest.mark.parametrize("sizes", [[8] * 5, [8] * 70 + [3], [3, 8, 3, 8]], ids=["few", "many", "of two sizes"])
def test_each_sample_has_the_margin_of_its_row(sizes):
    data, samples = list(batches(sizes)), sum(sizes) + 4
    found = collected(data).end(samples)
    for numbers, batch in data:
        expected = sample_margins(batch.scores, batch.targets)
        np.testing.assert_allclose(found.margin[numbers], expected.margin, rtol=1e-5)
        np.testing.assert_allclose(found.confidence[numbers], expected.confidence, rtol=1e-5)
        assert found.predicted[numbers].tolist() == expected.predicted.tolist()
        assert found.targets[numbers].tolist() == batch.targets.tolist()
    assert found.seen.tolist() == [1] * sum(sizes) + [0] * 4
    assert found.targets[-1] == found.predicted[-1] == -1


def test_tensors_that_are_used_again_have_been_copied():
    (numbers, batch), *_ = batches([8])
    expected = sample_margins(batch.scores.clone(), batch.targets.clone()).margin
    scores = collected([(numbers, batch)])
    batch.scores.zero_()
    batch.targets.zero_()
    np.testing.assert_allclose(scores.end(8).margin[numbers], expected, rtol=1e-5)


def test_a_sample_that_is_drawn_twice_has_the_mean_of_both():
    scores = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, 1.0]])
    found = collected([([1, 1, 0], ScoredBatch(torch.zeros(3, 4), torch.zeros(3, dtype=torch.long), scores))]).end(2)
    assert found.seen.tolist() == [1, 2]
    assert found.margin.tolist() == [-1.0, 3.0]


def test_samples_without_a_class_or_with_scores_that_are_not_finite_are_not_seen():
    scores = torch.tensor([[2.0, 0.0], [torch.nan, 0.0], [0.0, 1.0]])
    found = collected([([0, 1, 2], ScoredBatch(torch.zeros(3, 4), torch.tensor([0, 0, -100]), scores))]).end(3)
    assert found.seen.tolist() == [1, 0, 0]
    assert collected([([0], ScoredBatch(torch.zeros(1, 4), torch.tensor([-1]), scores[:1]))]).end(3) is None


def test_a_single_output_is_what_the_loss_has_told():
    logits, targets = torch.tensor([[0.5], [0.25]]), torch.tensor([1, 0])
    for is_logit, expected in ((True, [0.5, -0.25]), (False, [0.0, np.log(3)])):
        batch = ScoredBatch(torch.zeros(2, 4), targets, logits, torch.tensor(is_logit))
        np.testing.assert_allclose(collected([([0, 1], batch)]).end(2).margin, expected, atol=1e-6)


def test_little_waits_where_there_are_many_classes(monkeypatch):
    monkeypatch.setattr(pass_scores, "MAX_ELEMENTS", 8 * 5 * 3)
    data = list(batches([8] * 10))
    scores = PassScores()
    for numbers, batch in data:
        scores.add(numbers, batch)
        assert len(vars(scores)["_waiting"]) <= 3
    assert scores.end(80).seen.all()


def test_outputs_that_are_no_class_scores_and_numbers_beyond_the_dataset():
    (numbers, batch), *_ = batches([8])
    maps = batch._replace(scores=torch.zeros(8, 5, 4, 4))
    assert collected([(numbers, maps)]).end(8) is None
    with pytest.raises(ValueError, match="expected numbers of samples below 4"):
        collected([(numbers, batch)]).end(4)


class TwoRanks(SingleDeviceStrategy):
    """Reduces with what another rank has, as Lightning's strategies do."""

    def __init__(self, others):
        super().__init__("cpu")
        self.others = list(others)

    def reduce(self, tensor, reduce_op="sum", **_):
        other = self.others.pop(0)
        return tensor + other if reduce_op == "sum" else torch.maximum(tensor, other)


def test_several_ranks_put_together_what_each_has_seen():
    data = list(batches([8] * 4))
    whole = collected(data).end(40)
    other = collected(data[::2]).end(40)
    sent = [
        torch.tensor(np.stack([other.seen, other.margin, other.confidence])).float(),
        torch.tensor(np.stack([other.predicted, other.targets])).float(),
    ]
    found = collected(data[1::2]).end(40, TwoRanks(sent))
    for name in ("seen", "predicted", "targets"):
        assert getattr(found, name).tolist() == getattr(whole, name).tolist()
    np.testing.assert_allclose(found.margin, whole.margin, rtol=1e-5)


def test_a_failure_is_raised_after_the_other_ranks_have_been_served():
    (numbers, batch), *_ = batches([8])
    strategy = TwoRanks([torch.zeros(3, 4), torch.zeros(2, 4)])
    with pytest.raises(ValueError, match="below 4"):
        collected([(numbers, batch)]).end(4, strategy)
    assert strategy.others == []
