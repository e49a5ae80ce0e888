import numpy as np
import pytest

from lightning_cnnviz.functional import rank_samples, sample_dynamics
from lightning_cnnviz.functional.sample_history.dynamics import RunningDynamics, SamplePass

SAMPLES, PASSES, CLASSES = 60, 9, 4


@pytest.fixture
def passes():
    """Margins, confidences, predictions and targets; some samples are left out of some passes, one of all."""
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(PASSES, SAMPLES)) + rng.normal(size=SAMPLES)
    targets = rng.integers(CLASSES, size=SAMPLES)
    other = (targets + rng.integers(1, CLASSES, size=margins.shape)) % CLASSES
    confidences = rng.random(margins.shape)
    margins[rng.random(margins.shape) < 0.2] = np.nan
    margins[:, 7] = np.nan
    return margins, confidences, np.where(margins > 0, targets, other), targets


def life(margins, confidences, predicted, target):
    """The life of one sample, step by step."""
    first, forgotten, before, right = 0, 0, None, 0
    seen = [number for number in range(PASSES) if np.isfinite(margins[number])]
    for number in seen:
        now = predicted[number] == target
        first = number + 1 if now and not first else first
        forgotten += before is True and not now
        before, right = bool(now), right + now
    return {
        "passes": len(seen),
        "area_under_margin": np.mean(margins[seen]),
        "confidence": np.mean(confidences[seen]),
        "variability": np.std(confidences[seen]),
        "correctness": right / len(seen),
        "first_learned": first,
        "forgotten": forgotten,
        "predicted": predicted[seen[-1]],
        "targets": target,
    }


def test_every_number_is_that_of_a_sample_followed_by_itself(passes):
    margins, confidences, predicted, targets = passes
    found = sample_dynamics(*passes)
    assert found.seen.sum() == SAMPLES - 1
    for number in np.flatnonzero(found.seen):
        expected = life(margins[:, number], confidences[:, number], predicted[:, number], targets[number])
        for name, value in expected.items():
            assert getattr(found, name)[number] == pytest.approx(value), (name, number)
    assert found.forgotten.max() > 1
    assert found.first_learned.max() > 1, "nothing is learned late, so that nothing was tested"


def test_a_sample_that_was_never_seen_has_no_numbers(passes):
    one = sample_dynamics(*passes).take(7)
    assert (one.passes, one.first_learned, one.forgotten, one.targets, one.predicted) == (0, 0, 0, -1, -1)
    assert np.isnan([one.area_under_margin, one.confidence, one.variability, one.correctness]).all()


def test_rankings_are_sorted_and_hold_what_they_say(passes):
    found = sample_dynamics(*passes)
    mislabelled, forgotten, hardest = (rank_samples(found, by) for by in ("mislabelled", "forgotten", "hardest"))
    assert set(mislabelled) == set(np.flatnonzero(found.area_under_margin < 0))
    assert (np.diff(found.area_under_margin[mislabelled]) >= 0).all()
    assert set(forgotten) == set(np.flatnonzero(found.forgotten))
    assert (np.diff(found.forgotten[forgotten]) <= 0).all()
    assert set(hardest) == set(np.flatnonzero(found.first_learned))
    assert (np.diff(found.confidence[hardest]) >= 0).all()
    for by, whole in (("mislabelled", mislabelled), ("forgotten", forgotten), ("hardest", hardest)):
        for most in (0, 1, 3, 10, 1000):
            assert rank_samples(found, by, most).tolist() == whole[:most].tolist(), (by, most)
    with pytest.raises(ValueError, match="expected by to be one of mislabelled, forgotten, hardest"):
        rank_samples(found, "worst")


def test_what_a_checkpoint_keeps_goes_on_as_if_nothing_had_been(passes):
    margins, confidences, predicted, targets = passes
    whole, first = RunningDynamics(SAMPLES), RunningDynamics(SAMPLES)
    rows = [
        SamplePass(np.isfinite(margin).astype(int), np.nan_to_num(margin), confidence, said, targets)
        for margin, confidence, said in zip(margins, confidences, predicted, strict=True)
    ]
    for number, row in enumerate(rows, start=1):
        whole.add(row, number)
    for number, row in enumerate(rows[:4], start=1):
        first.add(row, number)
    resumed = RunningDynamics.from_arrays(first.arrays())
    for number, row in enumerate(rows[4:], start=5):
        resumed.add(row, number)
    for one, other in zip(whole.dynamics(), resumed.dynamics(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_sample_of_another_class_than_before_is_not_the_same():
    ones, running = np.ones(3, dtype=int), RunningDynamics(3)
    running.add(SamplePass(ones, ones, ones, ones, ones), 1)
    with pytest.raises(ValueError, match="sample 2 had class 1 before and now has 0, as have 0 more"):
        running.add(SamplePass(ones, ones, ones, ones, np.array([1, 1, 0])), 2)
    assert running.dynamics().passes.tolist() == [1, 1, 1]  # nothing of that pass is kept


def test_shapes_have_to_fit():
    with pytest.raises(ValueError, match=r"expected margins, .* got \(2, 3\), \(2, 3\), \(2, 3\) and \(2,\)"):
        sample_dynamics(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), np.ones(2))
