"""Rules about training and validation side by side."""

from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence, ScoreLook
from lightning_cnnviz.functional.diagnosis.finding import Observation


def overfitting(evidence: Evidence) -> Iterable[Observation]:
    """The validation loss rises, or no longer falls, while the training loss is much lower."""
    train, vals = evidence.recent_scores, evidence.validations
    if train is None or len(vals) < 3 or vals[-1].samples < 100:
        return
    losses = np.array([one.mean_loss for one in vals])
    best = int(losses.argmin())
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


def dropout_too_strong(evidence: Evidence) -> Iterable[Observation]:
    """Most of a layer is dropped, and training is much worse than validation, or hardly gets on."""
    train, val = evidence.recent_scores, evidence.validations[-1:]
    if evidence.setup.dropout < 0.75 or train is None or evidence.step < 100:
        return
    better = bool(val) and val[0].mean_loss < 0.75 * train.mean_loss
    if better or evidence.is_slow:
        words = f"A dropout layer has a probability of {evidence.setup.dropout:g}; the training's cross-entropy is "
        words += f"{train.mean_loss:.3g}" + (f", the validation's {val[0].mean_loss:.3g}." if val else ".")
        yield Observation("dropout_too_strong", words, 100, numbers={"p": evidence.setup.dropout})


def underfitting(evidence: Evidence) -> Iterable[Observation]:
    """A classifier gets no better, neither in training nor in validation, though its loss is still high."""
    if evidence.step < 200 or evidence.is_stuck or not evidence.is_slow or len(evidence.scores) < 12:
        return
    middle, last = len(evidence.scores) * 6 // 10, evidence.recent_scores
    before = ScoreLook.sum_of(evidence.scores[middle - 4 : middle + 1])
    vals = [one.mean_loss for one in evidence.validations[-2:]]
    if vals and (vals[-1] < 0.5 * evidence.chance or vals[-1] < 0.95 * vals[0]):
        return
    if last is not None and last.mean_loss > 0.95 * before.mean_loss:
        words = (
            f"Cross-entropy in training was {before.mean_loss:.3g} at step {before.step}, is {last.mean_loss:.3g}; "
        )
        words += f"accuracy {last.accuracy:.0%}."
        yield Observation("underfitting", words, before.step, numbers={"loss": last.mean_loss})


CAUSES = (dropout_too_strong,)
SYMPTOMS = (overfitting, underfitting)
