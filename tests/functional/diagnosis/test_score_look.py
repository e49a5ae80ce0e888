"""What follows from the scores of a batch, or of several."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.evidence import scores

from lightning_cnnviz.functional.diagnosis.score_look import ScoreLook


def test_a_sum_of_looks_is_that_of_all_samples():
    drawn = np.random.default_rng(0)
    parts = [drawn.normal(place, 1 + place, (8, 1, 5)) for place in range(3)]
    looks = [
        scores(place, 1.0 + place, samples=8, mean=part.mean(), std=part.std()) for place, part in enumerate(parts)
    ]
    both = ScoreLook.sum_of(looks)
    assert (both.samples, both.step) == (24, 2)
    assert both.mean_loss == pytest.approx(2.0)
    whole = np.concatenate(parts)
    np.testing.assert_allclose([both.means[0], both.deviations[0]], [whole.mean(), whole.std()])


def test_counts_are_the_confusion_matrix():
    found = scores(1, 1.0, true=[0, 0, 2, 1], predicted=[0, 1, 2, 1], classes=3)
    assert found.counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert (found.accuracy, found.mistakes, found.class_counts.tolist()) == (0.75, 1, [2, 1, 1])


@pytest.mark.parametrize(("loss", "accuracy", "better"), [(2.25, 0.1, True), (2.4, 0.3, True), (2.31, 0.15, False)])
def test_better_than_chance_is_what_chance_does_not_explain(loss, accuracy, better):
    assert scores(300, loss, accuracy, samples=200).beats_chance == better
    noise = np.random.default_rng(0).normal(0, 1.0, 200)
    assert not replace(scores(300, 2.25, 0.1, samples=200), losses=2.25 + noise - noise.mean()).beats_chance
