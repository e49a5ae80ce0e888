"""Rules about the labels and the order in which they come."""

import math
from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation
from lightning_cnnviz.functional.diagnosis.rules.inputs import mistakes_are_random
from lightning_cnnviz.functional.diagnosis.score_look import ScoreLook


def labels_do_not_fit(evidence: Evidence) -> Iterable[Observation]:
    """In mistakes of the training the given class ranks as if drawn at random, though the network is trained.

    So it does in a network that has learned nothing yet, then many samples must have been of no use; and where inputs
    tell little of the class, then most of it is mistaken, in validation as well.
    """
    scores = evidence.recent_scores
    if scores is None or not (
        _learned_classes(evidence, scores) or (evidence.saw_enough and not evidence.beats_chance)
    ):
        return
    ratios = [ratio for _, ratio, _ in evidence.update_ratios]
    if not mistakes_are_random(evidence) or not ratios or not 2e-4 < float(np.median(ratios)) < 0.1:
        return
    if not evidence.plain_loss:
        return
    words = f"Accuracy in training is {scores.accuracy:.0%}; in mistakes the given class is at {scores.mean_rank:.2f} "
    words += "among the others (0 is second best, 0.5 is random)."
    val = evidence.validations[-1] if evidence.validations else None
    if val is not None and val.accuracy > scores.accuracy + 0.1:
        words += f" Accuracy in validation is {val.accuracy:.0%}."
    yield Observation("labels_do_not_fit", words, 120, numbers={"rank": scores.mean_rank})


def _learned_classes(evidence: Evidence, scores: ScoreLook) -> bool:
    """Whether classes are told well, in training or in a validation that is better than the training."""
    share = float(scores.class_counts.max() / scores.samples)
    error = math.sqrt(share * (1 - share) / scores.samples)
    val = evidence.validations[-1] if evidence.validations else None
    told = val is not None and val.samples >= 50 and val.accuracy > scores.accuracy + 0.1
    return scores.accuracy > share + 4 * error and (told or scores.accuracy > max(0.4, 3 * share))


def labels_shifted(evidence: Evidence) -> Iterable[Observation]:
    """In validation nearly all samples of a class are taken for one other class, a different one for each."""
    if not evidence.validations or evidence.validations[-1].samples < 100:
        return
    counts = evidence.validations[-1].counts
    present = np.flatnonzero(counts.sum(axis=1) >= 5)
    if len(present) < 3:
        return
    most = counts[present].argmax(axis=1)
    share = counts[present, most] / counts[present].sum(axis=1)
    moved = (most != present) & (share >= 0.5)
    if moved.mean() >= 0.7 and len(set(most[moved].tolist())) >= 0.8 * moved.sum():
        pairs = ", ".join(f"{true} as {found}" for true, found in list(zip(present, most, strict=True))[:3])
        words = f"In validation class {pairs} and so on are predicted, in {share[moved].mean():.0%} of their samples."
        yield Observation("labels_shifted", words, evidence.validations[-1].step, sure="certain")


def class_imbalance(evidence: Evidence) -> Iterable[Observation]:
    """One class has nine of ten samples, and the others are hardly ever found."""
    if evidence.step < 100 or not evidence.scores:
        return
    seen = ScoreLook.sum_of(evidence.scores)
    counts = np.array(evidence.setup.class_counts) if evidence.setup.class_counts else seen.class_counts
    share = float(counts.max() / max(counts.sum(), 1))
    judged = evidence.validations[-1] if evidence.validations else evidence.recent_scores
    if judged is None or share < 0.9 or len(counts) < 2 or counts.sum() < 200 or judged.classes <= counts.argmax():
        return
    rare = judged.true != counts.argmax()
    found = float((judged.predicted == judged.true)[rare].mean()) if rare.any() else 1.0
    if found < 0.6:
        words = (
            f"Class {counts.argmax()} has {share:.0%} of the training samples; of the others {found:.0%} are found."
        )
        yield Observation("class_imbalance", words, 1, numbers={"share": share}, sure="certain")


def sorted_batches(evidence: Evidence) -> Iterable[Observation]:
    """Batches hold one class each, though there are several."""
    setup = evidence.setup
    counts = np.array(setup.class_counts)
    if setup.sequential and setup.purity >= 0.9 and len(counts) > 1 and counts.max() <= 0.8 * counts.sum():
        words = "The data are sorted by class and not shuffled, so that a batch has one class."
        yield Observation("sorted_batches", words, 1, numbers={"purity": setup.purity}, sure="certain")
        return
    rows = [look.class_counts for look in evidence.scores if look.samples >= 4]
    if len(rows) < 6:
        return
    width = max(map(len, rows))
    total = np.sum([np.pad(row, (0, width - len(row))) for row in rows], axis=0)
    pure = float(np.mean([row.max() / row.sum() for row in rows]))
    if pure >= 0.95 and total.max() <= 0.75 * total.sum():
        words = f"In batches looked at, {pure:.0%} of the samples are of one class, another one in other batches."
        yield Observation("sorted_batches", words, evidence.scores[0].step, numbers={"purity": pure}, sure="certain")


def not_shuffled(evidence: Evidence) -> Iterable[Observation]:
    """Samples come in the same order in each epoch."""
    setup = evidence.setup
    if setup.sequential and 4 <= setup.epoch_steps < evidence.step and not any(sorted_batches(evidence)):
        words = (
            f"Samples come in the order of the dataset, the same one in each epoch of {setup.epoch_steps:.0f} steps."
        )
        yield Observation("not_shuffled", words, int(setup.epoch_steps) + 1, sure="certain")


def one_class_from_the_start(evidence: Evidence) -> Iterable[Observation]:
    """The untrained network gives nearly all to one class, with a loss far above chance."""
    first = [look for look in evidence.scores if look.step <= 12]
    if evidence.first_loss > 10 * evidence.chance:
        first = first[:1]
    elif not any(look.step > 5 for look in first):  # it may find its way out at once
        return
    explodes = any(look.total_norm > 1e3 for look in evidence.looks[:1])
    if not first or explodes or not evidence.first_loss > 3 * evidence.chance:
        return
    start = ScoreLook.sum_of(first)
    share = np.bincount(start.predicted) / max(start.samples, 1)
    if start.samples >= 8 and share.max() >= 0.98 and start.class_counts.max() <= 0.8 * start.samples:
        words = f"From the start class {share.argmax()} is predicted for {share.max():.0%} of the samples, "
        words += f"with a loss of {evidence.first_loss:.3g} where {evidence.chance:.3g} is chance."
        yield Observation("one_class_predicted", words, 1, numbers={"share": float(share.max())})


def one_class_outweighs(evidence: Evidence) -> Iterable[Observation]:
    """Nearly all of the loss is that of one class, by the weights it is given, and most samples are taken for it."""
    recent = evidence.recent_scores
    weights = next((one.weights for one in evidence.loss_facts if one.weights), ())
    if recent is None or evidence.step < 60 or len(weights) != recent.classes:
        return
    counts = ScoreLook.sum_of(evidence.scores).class_counts
    shares, mass = counts / counts.sum(), counts * np.array(weights)
    heaviest = int(mass.argmax())
    part, taken = float(mass[heaviest] / mass.sum()), float((recent.predicted == heaviest).mean())
    if part >= 0.95 and taken >= 0.5 and taken > 2 * shares[heaviest]:
        words = (
            f"Class {heaviest} has {shares[heaviest]:.0%} of the samples, but by its weight {part:.1%} of the loss; "
        )
        words += f"{taken:.0%} of the samples are taken for it."
        yield Observation("one_class_predicted", words, 60, numbers={"weight": part, "share": taken}, sure="certain")


def one_class_predicted(evidence: Evidence) -> Iterable[Observation]:
    """All predictions are the same class, though there are several."""
    if evidence.saw_enough and _predicts_one_class(evidence):
        look = evidence.validations[-1] if evidence.validations else evidence.recent_scores
        assert look is not None
        share = np.bincount(look.predicted) / look.samples
        words = f"Class {share.argmax()} is predicted for {share.max():.0%} of {look.samples} samples."
        yield Observation("one_class_predicted", words, look.step, numbers={"share": float(share.max())})


def _predicts_one_class(evidence: Evidence) -> bool:
    judged, recent = evidence.validations[-1:], evidence.recent_scores
    if recent is None:
        return False
    looks = [recent, *(one for one in judged if one.samples >= 100)]
    shares = [np.bincount(look.predicted) / look.samples for look in looks]
    balanced = all(look.class_counts.max() <= 0.8 * look.samples for look in looks)
    alike = len({int(share.argmax()) for share in shares}) == 1
    return balanced and alike and all(share.max() >= 0.98 for share in shares)


CAUSES = (
    labels_shifted,
    class_imbalance,
    sorted_batches,
    not_shuffled,
    one_class_from_the_start,
    one_class_outweighs,
)
UNEXPLAINED = (labels_do_not_fit,)
SYMPTOMS = (one_class_predicted,)
