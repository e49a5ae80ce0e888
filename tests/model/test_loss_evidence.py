"""The loss is the witness: there is an accuracy only where it agrees with the guess, or says what is right."""

import copy

import pytest
import torch
from torch.nn import functional as F

from lightning_cnnviz.model.loss_evidence import (
    MAX_LOSSES,
    NO_CLASSES,
    OTHER_SCORES,
    OTHER_TARGETS,
    LossEvidence,
    Verdict,
)

IMAGES = torch.rand(6, 1, 8, 8)
CLASSES = torch.tensor([2, 0, 1, 2, 0, 1])
ROWS = torch.arange(6)
BITS = CLASSES.clamp(max=1)


def scores(*shape):
    return torch.randn(6, *shape, generator=torch.Generator().manual_seed(0), requires_grad=True)


def told(loss, seen, targets=CLASSES, batch=(IMAGES, CLASSES)):
    evidence = LossEvidence()
    evidence.read(loss)
    evidence.settle(seen.detach(), targets, batch)
    return evidence.verdict


def test_a_loss_that_agrees_settles_the_guess():
    given = scores(3)
    assert told(F.cross_entropy(given, CLASSES), given) == Verdict()
    assert told(F.cross_entropy(given / 7, CLASSES, label_smoothing=0.1), given) == Verdict()  # a temperature
    assert told(F.mse_loss(given.softmax(1), F.one_hot(CLASSES, 3).float()), given) == Verdict()


def test_scores_that_the_loss_has_rounded_are_the_same():
    seen = torch.tensor([[1.0, 1.001, 0.0]] * 6)
    rounded = torch.tensor([[1.0, 1.0, 0.0]] * 6, requires_grad=True)
    assert told(F.cross_entropy(rounded, CLASSES), seen) == Verdict()


def test_scores_may_have_one_column_more_in_the_loss():
    given = scores(3)
    rubbish = torch.cat([given, torch.zeros(6, 1)], dim=1)
    assert told(F.cross_entropy(rubbish, CLASSES), given) == Verdict()


def test_terms_without_samples_are_passed_over():
    given = scores(3)
    loss = F.cross_entropy(given, CLASSES) + F.mse_loss(given.sum(), torch.tensor(1.0))
    assert told(loss, given) == Verdict()
    assert told(F.binary_cross_entropy_with_logits(given.sum(), torch.tensor(1.0)), given) is None


def test_of_mixed_samples_the_own_class_is_one_of_two():
    given = scores(3)
    mixed = 0.7 * F.cross_entropy(given, CLASSES) + 0.3 * F.cross_entropy(given, CLASSES.flip(0))
    assert told(mixed, given) == Verdict()


@pytest.mark.parametrize(
    ("batch", "place"),
    [
        ((ROWS, IMAGES, CLASSES), (None, 2, 3)),
        ({"patient": ROWS, "image": IMAGES, "digit": CLASSES}, ("digit", 2, 3)),
        ({"patient": ROWS, "image": IMAGES, "digit": CLASSES[:, None]}, ("digit", 2, 3)),
    ],
)
def test_the_class_is_found_where_the_loss_has_it_from(batch, place):
    given = scores(3)
    assert told(F.cross_entropy(given, CLASSES), given, ROWS, batch) == Verdict("", place)


def test_a_class_that_is_not_in_the_batch_is_uncertain():
    given = scores(3)
    verdict = told(F.cross_entropy(given, (CLASSES + 1) % 3), given)
    assert verdict == Verdict(OTHER_TARGETS)
    assert verdict.classes_elsewhere


def test_scores_other_than_those_of_the_loss_are_uncertain():
    verdict = told(F.cross_entropy(scores(3), CLASSES), torch.rand(6, 5))
    assert verdict == Verdict(OTHER_SCORES)
    assert not verdict.classes_elsewhere


def test_an_output_that_is_to_meet_values_has_no_classes():
    given = scores(1)
    assert told(F.mse_loss(given[:, 0], CLASSES.float()), given) == Verdict(NO_CLASSES)
    assert told(F.binary_cross_entropy_with_logits(scores(3), torch.ones(6, 3)), scores(3)) == Verdict(NO_CLASSES)


@pytest.mark.parametrize(
    ("loss", "seen", "logits"),
    [
        (lambda s: F.binary_cross_entropy_with_logits(s, BITS.float()), lambda s: s, True),
        (lambda s: F.binary_cross_entropy(s.sigmoid(), BITS.float()), lambda s: s, True),
        (lambda s: F.binary_cross_entropy(s.sigmoid(), BITS.float()), lambda s: s.sigmoid(), False),
    ],
)
def test_a_single_score_is_a_logit_or_a_probability(loss, seen, logits):
    given = scores()
    assert told(loss(given), seen(given), BITS, (IMAGES, BITS)) == Verdict(logits=logits)


def test_an_unknown_loss_leaves_the_guess_and_is_not_looked_at_for_ever():
    evidence, given = LossEvidence(), scores(3)
    for step in range(MAX_LOSSES):
        assert evidence.verdict is None, step
        evidence.read(given.log_softmax(1)[ROWS, CLASSES].sum())
        evidence.settle(given.detach(), CLASSES, (IMAGES, CLASSES))
    assert evidence.verdict == Verdict()


def test_steps_without_scores_and_values_that_are_not_finite_tell_nothing():
    evidence, given = LossEvidence(), scores(3)
    evidence.read(F.cross_entropy(given, ROWS % 2))
    evidence.skip()
    evidence.settle(given.detach(), CLASSES, (IMAGES, CLASSES))
    assert evidence.verdict is None
    bad = given.detach() * torch.nan
    assert told(F.cross_entropy(bad.requires_grad_(), CLASSES), bad) is None


def test_what_the_user_has_said_is_settled_and_copies_have_no_tensors():
    evidence, given = LossEvidence(settled=True), scores(3)
    evidence.read(F.mse_loss(given, given * 0))
    evidence.settle(given.detach(), CLASSES, (IMAGES, CLASSES))
    assert evidence.verdict == Verdict()
    running = LossEvidence()
    running.read(F.cross_entropy(given, CLASSES))
    twin = copy.deepcopy(running)
    twin.settle(given.detach(), ROWS, (IMAGES, ROWS))
    assert twin.verdict is None
