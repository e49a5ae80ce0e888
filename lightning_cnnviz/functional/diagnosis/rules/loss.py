"""Rules about the loss: what it compares, and whether it is a number."""

from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation


def softmax_before_loss(evidence: Evidence) -> Iterable[Observation]:
    """The graph of the loss has a softmax, or sigmoid, right below the one that the loss applies."""
    for one in evidence.loss_facts:
        if one.after_softmax:
            words = f"{one.name} applies a softmax to what {one.after_softmax} has returned."
            if one.kind == "logits":
                words = f"{one.name} applies a sigmoid to what {one.after_softmax} has returned."
            yield Observation("softmax_before_loss", words, 1, sure="certain")
            return


def wrong_loss(evidence: Evidence) -> Iterable[Observation]:
    """The loss is computed of what cannot be its arguments."""
    for one in evidence.loss_facts:
        words, sure = "", "certain"
        if one.kind == "classes" and one.outputs == 1:
            words = f"{one.name} of a single score per sample is always 0."
        elif one.kind == "classes" and not one.log_probabilities:
            words = "nll_loss is given scores above 0, which are no logarithms of probabilities."
        elif one.beyond:
            words = f"{one.name} is given targets outside of 0…1."
        elif one.kind == "values" and one.class_indices >= 3:
            words = f"{one.name} treats {one.class_indices} class indices as amounts."
            sure = "certain" if evidence.setup.has_class_names else "likely"
        if words:
            yield Observation("wrong_loss", words, 1, sure="certain" if sure == "certain" else "likely")
            return


def non_finite(evidence: Evidence) -> Iterable[Observation]:
    """A loss is NaN or infinite."""
    broken = np.flatnonzero(~np.isfinite(evidence.losses))
    found = evidence.non_finite
    if not found and not len(broken):
        return
    step = int(found["step"]) if found else int(evidence.loss_steps[broken[0]])
    words, layers = found.get("words") or "The loss is NaN or infinite.", tuple(found.get("layers", ()))
    if found.get("half"):  # a division by zero there would look the same
        yield Observation("half_precision_overflow", words, step, layers)
    else:
        yield Observation("non_finite", words, step, layers, sure="certain")


def half_precision_underflow(evidence: Evidence) -> Iterable[Observation]:
    """Most of the gradient, or every update, is rounded to zero in float16."""
    looks = [look for look in evidence.looks if look.gradients]
    if not evidence.setup.half or len(looks) < 3:
        return
    zeros = [row["zero_share"] for look in looks for row in look.gradients.values() if row["zero_share"] >= 0]
    share = float(np.median(zeros)) if zeros else 0.0
    ratios = [ratio for _, ratio, _ in evidence.update_ratios]
    if share >= 0.6 or (ratios and max(ratios) == 0):
        words = f"In float16, {share:.0%} of the entries of a layer's gradient are exactly 0 (median)."
        yield Observation("half_precision_underflow", words, looks[0].step, numbers={"zero_share": share})


def loss_does_not_fall(evidence: Evidence) -> Iterable[Observation]:
    """After some thousand samples a classifier is no better than chance; or no weight, or no loss, changes at all."""
    ratios = [ratio for _, ratio, _ in evidence.update_ratios]
    if len(ratios) >= 3 and max(ratios) == 0:
        words = f"No weight has changed in the {len(ratios)} steps looked at."
        yield Observation("loss_does_not_fall", words, 1, sure="certain")
    elif len(evidence.losses) >= 20 and np.ptp(evidence.losses) == 0:
        words = f"The loss is exactly {evidence.losses[-1]:.4g} in all {len(evidence.losses)} steps."
        yield Observation("loss_does_not_fall", words, 1, sure="certain")
    elif evidence.recent_scores is not None and evidence.is_stuck and evidence.saw_enough and not _learns(evidence):
        words = (
            f"Cross-entropy {evidence.recent_cross_entropy:.3g}; always guessing by frequency: {evidence.chance:.3g}."
        )
        yield Observation("loss_does_not_fall", words, 60, numbers={"loss": evidence.recent_cross_entropy})


def _learns(evidence: Evidence) -> bool:
    """Whether a classifier is better than chance, if by little: in validation, or by the mean of many batches."""
    losses = evidence.losses[-100:]
    if not len(losses):
        return evidence.beats_chance
    lower = bool(losses.mean() < evidence.chance - 4 * losses.std() / len(losses) ** 0.5)
    return evidence.beats_chance or (lower and evidence.plain_loss)


CAUSES = (softmax_before_loss, wrong_loss, non_finite, half_precision_underflow)
SYMPTOMS = (loss_does_not_fall,)
