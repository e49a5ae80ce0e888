"""Rules about what the network is fed with."""

import math
from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation
from lightning_cnnviz.functional.diagnosis.score_look import ScoreLook


def inputs_not_normalized(evidence: Evidence) -> Iterable[Observation]:
    """The first layer with weights receives values of another order than 1."""
    received = [look.received for look in evidence.looks[:3] if len(look.received) == 4]
    if not received:
        return
    low, high, mean, std = np.median(np.array(received), axis=0).tolist()
    layer = next(iter(evidence.setup.layers), "")
    layers, largest = (layer,) if layer else (), max(abs(low), abs(high))
    certain = (largest >= 30 and std >= 5) or (largest < 0.1 and std < 0.01)
    if certain or abs(mean) > max(5 * std, 1):
        words = f"It receives values from {low:.4g} to {high:.4g}, mean {mean:.3g}, deviation {std:.3g}."
        numbers = {"mean": mean, "std": std}
        yield Observation("inputs_not_normalized", words, 1, layers, numbers, "certain" if certain else "likely")


def preprocessing_differs(evidence: Evidence) -> Iterable[Observation]:
    """Inputs of training and validation are distributed differently, and the validation is worse."""
    train, val = _both(evidence)
    if train is None or val is None or mistakes_are_random(evidence):
        return
    if evidence.step < 100 or evidence.is_slow:
        return
    shift, factor, rough = input_difference(train, val)
    worse = val.accuracy < train.accuracy - 0.1 or val.mean_loss > 1.5 * train.mean_loss
    if worse and (shift > 0.5 or factor > 1.7 or rough > 1.7):
        yield Observation("preprocessing_differs", _difference(train, val), val.step, numbers={"shift": shift})


def augmentation_destroys_labels(evidence: Evidence) -> Iterable[Observation]:
    """Training inputs differ from validation inputs, and the class of many cannot be told."""
    train, val = _both(evidence)
    if train is None or val is None:
        return
    shift, factor, rough = input_difference(train, val)
    # Of images that are only harder, or not learnt yet, the true class is near the top.
    unlike = mistakes_are_random(evidence) or (evidence.is_slow and (train.mean_rank > 0.25 or factor > 3))
    if unlike and (shift > 0.5 or factor > 1.5 or rough > 1.5):
        words = _difference(train, val)
        yield Observation("augmentation_destroys_labels", words, val.step, numbers={"shift": shift})
    elif labels_are_guessed(evidence):
        words = f"Accuracy is {train.accuracy:.0%} in training and {val.accuracy:.0%} in validation; in mistakes the "
        words += (
            f"class is at {train.mean_rank:.2f} among the others in training (0 is second best, 0.5 is random), and "
        )
        words += f"at {val.mean_rank:.2f} in validation."
        yield Observation("augmentation_destroys_labels", words, val.step, numbers={"rank": train.mean_rank})


def leakage(evidence: Evidence) -> Iterable[Observation]:
    """Samples of the training are among those of the validation."""
    shared, leaked = evidence.setup.shared_samples, evidence.leaked
    if shared > 0.02:
        words = f"{shared:.0%} of the validation samples are training samples, as the indices of the datasets tell."
        yield Observation("leakage", words, 1, numbers={"share": shared}, sure="certain")
    elif leaked > 0.2:
        words = f"About {min(leaked, 1):.0%} of the validation samples are equal to training samples, bit for bit."
        yield Observation("leakage", words, evidence.step, numbers={"share": min(leaked, 1.0)})


# ---- shared with other rules


def mistakes_are_random(evidence: Evidence) -> bool:
    """Whether, in mistakes of the training, the true class ranks as if drawn at random among the others."""
    scores = evidence.recent_scores
    return (
        scores is not None
        and evidence.step >= 120
        and scores.mistakes >= 50
        and scores.mean_rank > 0.36
        and scores.classes > 3
    )


def labels_are_guessed(evidence: Evidence) -> bool:
    """Whether a network that tells classes well in validation fails in training, as where images are mixed.

    Wrong labels have the same effect. But of these the true class in mistakes ranks as if drawn at random, and images
    are as in the batch. Where a loss expects mixed images, it is not the cross-entropy with the batch's classes alone.
    """
    train, val = _both(evidence)
    if train is None or val is None or evidence.step < 120 or train.mistakes < 50 or not evidence.plain_loss:
        return False
    if evidence.setup.dropout >= 0.5:
        return False
    better = val.accuracy - train.accuracy
    if mistakes_are_random(evidence):
        return better > 0.1 and _changed_in_the_step(evidence)
    return better > 0.3 and train.mean_loss > 2 * val.mean_loss and train.mean_rank > 0.2


def _changed_in_the_step(evidence: Evidence) -> bool:
    """Whether the first layer receives values of another deviation than those of the batch, by somewhat."""
    received = np.array([look.received[3] for look in evidence.looks if len(look.received) == 4])
    given = ScoreLook.sum_of(evidence.scores)
    usual = float(np.sqrt((given.deviations**2).mean() + given.means.var()))
    if len(received) < 4 or not usual > 0:
        return False
    apart = abs(float(received.mean()) / usual - 1)
    return 0.07 < apart < 0.5 and apart > 4 * float(received.std()) / usual / len(received) ** 0.5


def input_difference(train: ScoreLook, val: ScoreLook) -> tuple[float, float, float]:
    """Distance between means, in deviations, and the factors between deviations and between roughnesses."""
    if len(train.means) != len(val.means):
        return 0.0, 1.0, 1.0
    pooled = np.maximum(np.sqrt((train.deviations**2 + val.deviations**2) / 2), 1e-12)
    shift = float((np.abs(train.means - val.means) / pooled).max())
    low, high = (np.maximum(one.deviations, 1e-12) for one in (train, val))
    known = math.isfinite(train.roughness) and math.isfinite(val.roughness)
    # Of images of a single colour it is 0.
    rough = max(train.roughness, 1e-3) / max(val.roughness, 1e-3) if known else 1.0
    return shift, float(np.maximum(low / high, high / low).max()), max(rough, 1 / rough)


def _both(evidence: Evidence) -> tuple[ScoreLook | None, ScoreLook | None]:
    val = evidence.validations[-1] if evidence.validations else None
    return evidence.recent_scores, val if val is not None and val.samples >= 50 else None


def _difference(train: ScoreLook, val: ScoreLook) -> str:
    parts = [
        f"{split} have a mean of {float(one.means.mean()):.3g}, a deviation of {float(one.deviations.mean()):.3g} "
        f"and differ by {one.roughness:.2g} deviations from pixel to pixel"
        for split, one in (("Training inputs", train), ("those of the validation", val))
    ]
    accuracy = f"accuracy {train.accuracy:.0%} and {val.accuracy:.0%}"
    return f"{parts[0]}, {parts[1]}; {accuracy}." if math.isfinite(val.mean_loss) else f"{parts[0]}, {parts[1]}."


CAUSES = (inputs_not_normalized, preprocessing_differs, augmentation_destroys_labels, leakage)
