"""Evidence grows with the run, in order, bounded, and is read from the device only when it is asked for."""

import math
import pickle

import numpy as np
import torch

from lightning_cnnviz.functional.diagnosis.look import Look
from lightning_cnnviz.functional.diagnosis.setup import Setup
from lightning_cnnviz.model.loss_facts import GraphFacts
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.run_evidence import MAX_LOOKS, MAX_LOSSES, MAX_WAITING, RunEvidence


def batch(number, samples=8):
    generator = torch.Generator().manual_seed(number)
    inputs = torch.rand(samples, 1, 4, 4, generator=generator)
    return ScoredBatch(inputs, torch.arange(samples) % 3, torch.rand(samples, 3, generator=generator))


def test_losses_are_kept_in_order_whatever_they_are():
    run = RunEvidence(Setup(), 0)
    given = [0.5, torch.tensor(2.0), torch.tensor([3.0]), math.nan, torch.tensor(1e30, dtype=torch.float64), -4.0]
    for step, loss in enumerate(given):
        run.add_loss(loss, step)
    evidence = run.evidence(9)
    np.testing.assert_array_equal(evidence.losses, [0.5, 2, 3, math.nan, 1e30, -4])
    assert evidence.loss_steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert evidence.step == 9
    run.add_loss(torch.tensor(7.0, dtype=torch.bfloat16), 6)
    assert run.evidence(10).losses[-1] == 7
    assert len(evidence.losses) == 6  # what was asked for before stays as it was


def test_of_very_many_losses_the_first_and_the_last_are_kept():
    run = RunEvidence(Setup(), 0)
    for step in range(5 * MAX_LOSSES):
        run.add_loss(float(step), step)
        assert len(vars(run)["_losses"]) <= MAX_LOSSES
    losses = run.evidence(0).losses
    assert len(losses) == MAX_LOSSES
    assert losses[: MAX_LOSSES // 2].tolist() == list(range(MAX_LOSSES // 2))
    assert losses[-1] == 5 * MAX_LOSSES - 1
    assert (np.diff(losses) > 0).all()


def test_looks_and_scores_are_bounded_too():
    run = RunEvidence(Setup(), 0)
    for step in range(MAX_LOOKS + 50):
        run.add_look(Look(step))
        run.add_scores(batch(step), step)
        assert vars(run)["_scores"].waiting < MAX_WAITING
    evidence = run.evidence(0)
    assert len(evidence.looks) == len(evidence.scores) == MAX_LOOKS
    assert (evidence.looks[0].step, evidence.looks[-1].step) == (0, MAX_LOOKS + 49)
    assert [one.step for one in evidence.scores] == sorted(one.step for one in evidence.scores)


def test_a_validation_is_the_sum_of_its_batches():
    run = RunEvidence(Setup(), 0)
    run.end_validation()
    assert run.evidence(0).validations == ()
    for number in range(3):
        run.add_validation(batch(number), 10)
    run.end_validation()
    run.add_validation(batch(3), 20)
    run.end_validation()
    validations = run.evidence(0).validations
    assert [(one.step, one.samples) for one in validations] == [(10, 24), (20, 8)]
    scores = torch.cat([batch(number).scores for number in range(3)])
    expected = torch.nn.functional.cross_entropy(scores.double(), (torch.arange(8) % 3).repeat(3), reduction="none")
    np.testing.assert_allclose(validations[0].losses, expected)


def test_samples_of_the_training_in_the_first_validation_are_counted():
    run = RunEvidence(Setup(), 80)
    for number in range(10):
        run.add_scores(batch(number), number)
    for number in range(5, 10):
        run.add_validation(batch(number), 10)
    run.end_validation()
    assert run.evidence(10).leaked == 1
    unknown = RunEvidence(Setup(), 0)
    unknown.add_scores(batch(0), 0)
    assert math.isnan(unknown.evidence(1).leaked)


def test_what_the_graph_and_a_broken_loss_have_told_is_kept():
    run = RunEvidence(Setup(planned_steps=10), 0)
    assert (run.known_loss, run.is_finite, run.setup.planned_steps) == (False, True, 10)
    run.add_graph([], GraphFacts(3, True))
    run.add_non_finite({"step": 4})
    assert (run.known_loss, run.is_finite) == (True, False)
    evidence = run.evidence(5)
    assert (evidence.graph, evidence.non_finite) == (GraphFacts(3, True), {"step": 4})


def test_a_copy_leaves_what_is_on_the_device():
    run = RunEvidence(Setup(), 80)
    run.add_loss(1.0, 1)
    run.evidence(1)
    run.add_loss(torch.tensor(2.0), 2)
    run.add_scores(batch(0), 2)
    copied = pickle.loads(pickle.dumps(run))
    assert copied.evidence(2).losses.tolist() == [1]
    assert run.evidence(2).losses.tolist() == [1, 2]
