"""Rules about the optimizer, its schedule and what is done to gradients."""

import math
from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation

LARGE_UPDATE, SMALL_UPDATE = 0.1, 1e-4
"""‖Δw‖ / ‖w‖ of a step, median over layers; 1e-3 is usual."""
ADAPTIVE = ("ada", "rms", "lamb", "lion", "rprop", "sign", "shampoo", "soap", "muon")
"""How names of optimizers begin whose steps have the same length whatever the scale of the gradient, beside Adam's."""
LARGE_NORM = 50.0
"""Norm of the gradient of a mean cross-entropy before the first step that is out of proportion; 1…10 is usual."""


def gradients_not_cleared(evidence: Evidence) -> Iterable[Observation]:
    """Before a backward pass, gradients of the last step are still there."""
    found = [look for look in evidence.looks if look.uncleared]
    if len(found) >= 2:
        words = (
            f"Before the backward pass, {found[-1].uncleared} parameters still had the gradient of the step before."
        )
        yield Observation("gradients_not_cleared", words, found[0].step, sure="certain")


def learning_rate_too_high(evidence: Evidence) -> Iterable[Observation]:
    """Weights change by much of their size in a step, and the loss does not fall."""
    if starts_large(evidence) or high_momentum(evidence) or breaks_suddenly(evidence):
        return
    ratios = list(evidence.update_ratios)
    large = [(step, ratio) for step, ratio, _ in ratios if ratio >= LARGE_UPDATE]
    worse = diverges(evidence)
    if not large and worse:
        large = [(step, ratio) for step, ratio, _ in ratios if ratio >= LARGE_UPDATE / 3]
    if large and (worse or evidence.is_stuck):
        step, ratio = max(large, key=lambda one: one[1])
        words = f"Step {step} changed weights by {ratio:.2g} of their norm (median over layers; 0.001 is usual), "
        words += f"and the loss went from {evidence.first_loss:.3g} to {evidence.recent_loss():.3g}."
        yield Observation("learning_rate_too_high", words, large[0][0], numbers={"update_ratio": ratio})


def learning_rate_too_low(evidence: Evidence) -> Iterable[Observation]:
    """Weights hardly change, and the loss is as it was at the start."""
    ratios = [most for _, _, most in evidence.update_ratios]
    if not evidence.is_stuck or evidence.step < 100 or len(ratios) < 4 or _warms_up(evidence):
        return
    most = max(ratios)
    reached = any(row["norm"] > 0 for look in evidence.looks for row in look.gradients.values())
    if reached and 0 < most <= SMALL_UPDATE:
        words = f"A step changes weights by at most {most:.2g} of their norm, in any layer (0.001 is usual), "
        words += f"and the loss, {evidence.first_loss:.3g} at first, is {evidence.recent_loss():.3g}."
        yield Observation("learning_rate_too_low", words, evidence.looks[3].step, numbers={"update_ratio": most})


def momentum_too_high(evidence: Evidence) -> Iterable[Observation]:
    """A momentum of 0.99 or more, and a loss that rises or does not fall."""
    momentum = high_momentum(evidence)
    known = evidence.step >= 100 and evidence.recent_scores is not None
    # Up to 0.995 it acts for less than the steps that it takes to see that, and may go with a low learning rate.
    slow = known and momentum >= 0.995 and not evidence.recent_cross_entropy < 0.3 * evidence.chance
    fails = diverges(evidence) or evidence.is_stuck or slow or _swings(evidence)
    if momentum and evidence.step >= 60 and fails and not breaks_suddenly(evidence):
        words = f"With a momentum of {momentum:g} a gradient acts for {1 / max(1 - momentum, 1e-9):.0f} steps; "
        words += f"the loss went from {evidence.first_loss:.3g} to {evidence.recent_loss():.3g}."
        yield Observation("momentum_too_high", words, 60, numbers={"momentum": momentum})


def weight_decay_too_strong(evidence: Evidence) -> Iterable[Observation]:
    """With weight decay, weights have shrunk to less than half, and a classifier hardly learns."""
    decay = max((one.weight_decay for one in evidence.setup.optimizers), default=0.0)
    looks = [look for look in evidence.looks if look.gradients]
    if decay <= 0 or len(looks) < 3 or not evidence.is_slow:
        return
    now = {name: row["weight_norm"] for name, row in looks[-1].gradients.items()}
    before = {name: row["weight_norm"] for name, row in looks[0].gradients.items()}
    shares = [now[name] / before[name] for name in now.keys() & before.keys() if before[name] > 0]
    share = float(np.median(shares)) if shares else math.nan
    if share < 0.5:
        words = (
            f"With weight_decay={decay:g} the weights have shrunk to {share:.0%} of their norm (median over layers)."
        )
        yield Observation("weight_decay_too_strong", words, looks[1].step, numbers={"share": share})


def clipping_every_step(evidence: Evidence) -> Iterable[Observation]:
    """Gradients exceed the norm to which they are clipped in every step, by far.

    Optimizers that divide by the size of the gradients themselves do not mind.
    """
    if any(one.kind.lower().startswith(ADAPTIVE) or "adam" in one.kind.lower() for one in evidence.setup.optimizers):
        return
    norms = np.array([look.total_norm for look in evidence.looks if math.isfinite(look.total_norm)])
    clip = evidence.setup.clip_norm
    if len(norms) < 6 or not math.isfinite(clip) or not (norms > clip).all():
        return
    factor = float(np.median(norms)) / clip
    if factor >= 100 or (factor >= 10 and evidence.is_slow):
        words = f"In all {len(norms)} steps looked at the gradient was clipped, to 1/{factor:.0f} of it (median)."
        yield Observation("clipping_every_step", words, evidence.looks[0].step, numbers={"factor": factor})


def schedule_ends_early(evidence: Evidence) -> Iterable[Observation]:
    """The learning rate has fallen to nothing while much of the training is to come."""
    rates = [(look.step, max(look.learning_rates)) for look in evidence.looks if look.learning_rates]
    peak = max((rate for _, rate in rates), default=0.0)
    high = [step for step, rate in rates if rate > 5e-4 * peak]  # three steps of a tenth are usual
    after = [step for step, _ in rates if not high or step > high[-1]]
    if not peak or not high or not after or evidence.setup.waits_for_plateaus:
        return
    since, planned = after[0], evidence.setup.planned_steps
    total = planned if math.isfinite(planned) else evidence.step
    if len(after) >= 2 and since < 0.85 * total and evidence.step - since >= max(20, 0.05 * total):
        words = f"The learning rate is {rates[-1][1]:.2g} since step {since}"
        words += f" of {planned:.0f}" if math.isfinite(planned) else ""
        words += f"; at its highest it was {peak:.2g}."
        yield Observation("schedule_ends_early", words, since, sure="certain")


# ---- shared with other rules


def diverges(evidence: Evidence) -> bool:
    """Whether the loss has risen far above where it began, or is NaN or infinite."""
    start = evidence.first_loss
    if len(evidence.losses) < 20 or not math.isfinite(start) or not evidence.setup.automatic or start <= 0:
        return False
    recent = evidence.losses[-20:]
    level = max(start, evidence.chance) if evidence.of_classes else 5 * start
    return not np.isfinite(recent).all() or float(np.median(recent)) > 1.5 * level


def breaks_suddenly(evidence: Evidence) -> bool:
    """Whether the loss became NaN or infinite without having risen before."""
    broken = np.flatnonzero(~np.isfinite(evidence.losses))
    if not len(broken):
        return False
    before = evidence.losses[: broken[0]]
    return not len(before) or float(before.max()) < 3 * max(evidence.first_loss, 0.1)


def starts_large(evidence: Evidence) -> bool:
    """Whether the gradient was out of proportion before the first step."""
    first = evidence.looks[0] if evidence.looks else None
    return first is not None and evidence.of_classes and not first.total_norm < LARGE_NORM


def high_momentum(evidence: Evidence) -> float:
    """The momentum, if it is 0.98 or more; else 0."""
    most = max((one.momentum for one in evidence.setup.optimizers), default=0.0)
    return most if most >= 0.98 else 0.0


def _swings(evidence: Evidence) -> bool:
    losses = evidence.losses[len(evidence.losses) // 2 :]
    return len(losses) >= 40 and evidence.of_classes and float(losses.max()) > 1.5 * evidence.first_loss


def _warms_up(evidence: Evidence) -> bool:
    rates = [max(look.learning_rates) for look in evidence.looks if look.learning_rates]
    return len(rates) >= 2 and rates[-1] > 1.01 * rates[0]


CAUSES = (
    gradients_not_cleared,
    learning_rate_too_high,
    learning_rate_too_low,
    momentum_too_high,
    weight_decay_too_strong,
    clipping_every_step,
    schedule_ends_early,
)
