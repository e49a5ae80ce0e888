"""Rules about training and validation side by side."""

from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation


def overfitting(evidence: Evidence) -> Iterable[Observation]:
    """The validation loss of a classifier rises, or no longer falls, while the training loss is much lower."""
    train, vals = evidence.recent_scores, evidence.validations
    if train is None or len(vals) < 3 or vals[-1].samples < 100:
        return
    losses = np.array([one.mean_loss for one in vals])
    best = int(losses.argmin())
    if best == 0:  # as where a trained network is trained further
        return
    rises = (losses[best + 1 :] > 1.15 * losses[best]).all() and len(losses) - best > 2
    gap = train.mean_loss < 0.5 * losses[-1] and train.accuracy > vals[-1].accuracy + 0.05
    ended = len(losses) >= 4 and losses[-3:].min() > 0.95 * losses[:-3].min()
    apart = train.mean_loss < 0.25 * losses[-1] and train.accuracy > vals[-1].accuracy + 0.12
    if (rises and gap and losses[-1] > 1.3 * losses[best]) or (ended and apart):
        words = (
            f"Cross-entropy in validation was {losses[best]:.3g} at step {vals[best].step} and is {losses[-1]:.3g}; "
        )
        words += f"in training it is {train.mean_loss:.3g}."
        yield Observation(
            "overfitting", words, vals[min(best + 1, len(vals) - 1)].step, numbers={"loss": float(losses[-1])}
        )


def overfitting_of_a_loss(evidence: Evidence) -> Iterable[Observation]:
    """The loss of the validation, as it is logged, has risen far and for long, while that of the training falls.

    Both must have been alike before, or they are not of the same kind.
    """
    known = [(step, loss) for step, loss in evidence.validation_losses if np.isfinite(loss)]
    if evidence.of_classes or not evidence.setup.automatic or evidence.step < 100 or len(known) < 6:
        return
    if not len(evidence.losses) or (evidence.losses <= 0).any():
        return
    steps, losses = np.array(known).T
    best = int(losses.argmin())
    after = losses[best + 1 :]
    if best == 0 or losses[best] <= 0 or len(after) < 3 or not (after[-3:] > 1.25 * losses[best]).all():
        return
    then, now = (_training_loss(evidence, steps[place - 1], steps[place]) for place in (best, -1))
    if 0.5 < losses[best] / then < 2 and now < 0.5 * then and now < 0.2 * losses[-1]:
        words = f"The validation loss was {losses[best]:.3g} at step {steps[best]:.0f} and is {losses[-1]:.3g}; "
        words += f"in training it was {then:.3g} and is {now:.3g}."
        yield Observation("overfitting", words, int(steps[best + 1]), numbers={"loss": float(losses[-1])})


def _training_loss(evidence: Evidence, first: float, last: float) -> float:
    """Median of the losses between two steps; NaN if none is known."""
    between = evidence.losses[(evidence.loss_steps > first) & (evidence.loss_steps <= last)]
    return float(np.median(between)) if len(between) else np.nan


def dropout_too_strong(evidence: Evidence) -> Iterable[Observation]:
    """Most of a layer is dropped, and training is much worse than validation, or hardly gets on."""
    train, val = evidence.recent_scores, evidence.validations[-1:]
    if evidence.setup.dropout < 0.75 or train is None or evidence.step < 100:
        return
    better = bool(val) and val[0].mean_loss < 0.75 * train.mean_loss
    # Of what is dropped with 0.85 and more, noise of more than five times the signal is left.
    noisy = evidence.setup.dropout >= 0.85 and evidence.step >= 200 and train.mean_loss > 0.25 * evidence.chance
    if better or noisy or evidence.is_slow:
        words = f"A dropout layer has a probability of {evidence.setup.dropout:g}; the training's cross-entropy is "
        words += f"{train.mean_loss:.3g}" + (f", the validation's {val[0].mean_loss:.3g}." if val else ".")
        yield Observation("dropout_too_strong", words, 100, numbers={"p": evidence.setup.dropout})


def underfitting(evidence: Evidence) -> Iterable[Observation]:
    """A small classifier gets no better, neither in training nor in validation, though its loss is still high.

    Small are networks with less than a tenth of a weight for each sample: of larger ones it cannot be known whether
    the data tell classes apart any better. Not told of two classes, of networks of which a part is frozen on purpose,
    with a learning rate that has been lowered, or with dropout, which alone raises the loss of the training.
    """
    last, layers = evidence.recent_scores, evidence.setup.layers.values()
    if evidence.step < 250 or evidence.is_stuck or not evidence.is_slow or last is None or last.classes < 3:
        return
    if evidence.setup.dropout >= 0.5 or not all(one.trainable for one in layers) or _has_slowed_down(evidence):
        return
    weights, samples = sum(one.weights for one in layers), evidence.setup.epoch_steps * evidence.setup.batch_size
    vals = [one.mean_loss for one in evidence.validations[-2:]]
    if (
        not 0 < weights < 0.1 * samples
        or (vals and vals[-1] < 0.8 * last.mean_loss)
        or (vals and vals[-1] < 0.95 * vals[0])
    ):
        return
    quarter = len(evidence.losses) // 4
    before, now = evidence.losses[-2 * quarter : -quarter], evidence.losses[-quarter:]
    fall = 1 - now.mean() / before.mean()
    error = ((now.var() + before.var()) / quarter) ** 0.5 / before.mean()
    if fall + 2 * error < 0.02:  # with an error of the mean that is small enough to tell
        since = int(evidence.loss_steps[-2 * quarter])
        words = f"The loss was {before.mean():.3g} in the quarter before the last, and is {now.mean():.3g} in that; "
        words += f"accuracy {last.accuracy:.0%}."
        yield Observation("underfitting", words, since, numbers={"loss": last.mean_loss})


def _has_slowed_down(evidence: Evidence) -> bool:
    """Whether the learning rate is less than a third of what it was at its highest."""
    rates = [max(look.learning_rates) for look in evidence.looks if look.learning_rates]
    return bool(rates) and rates[-1] < max(rates) / 3


CAUSES = (dropout_too_strong,)
SYMPTOMS = (overfitting, overfitting_of_a_loss, underfitting)
