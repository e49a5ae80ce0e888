"""Rules about the size of gradients."""

import math
from collections.abc import Iterable

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation
from lightning_cnnviz.functional.diagnosis.rules.optimization import (
    LARGE_NORM,
    breaks_suddenly,
    diverges,
    starts_large,
)


def exploding_gradients(evidence: Evidence) -> Iterable[Observation]:
    """The gradient is out of proportion, and the loss does not fall."""
    norms = [(look.step, look.total_norm) for look in evidence.looks if not math.isnan(look.total_norm)]
    large = [(step, norm) for step, norm in norms if norm >= (LARGE_NORM if starts_large(evidence) else 1e3)]
    fails = evidence.step >= 20 and (evidence.is_stuck or diverges(evidence))
    lasts = len(large) >= 2 or diverges(evidence) or any(norm >= 1e3 for _, norm in large)
    if not large or not lasts or not fails or (breaks_suddenly(evidence) and not starts_large(evidence)):
        return
    step, norm = large[0]
    words = f"The norm of the gradient was {norm:.3g} at step {step}; 1 to 10 is usual."
    yield Observation("exploding_gradients", words, step, numbers={"norm": norm})


def vanishing_gradients(evidence: Evidence) -> Iterable[Observation]:
    """Relative to the weights, gradients of early layers are much smaller than those of late ones."""
    looks = [look for look in evidence.recent_looks() if look.gradients]
    if len(looks) < 2 or not evidence.is_stuck:
        return
    shares = [
        {name: row["norm"] / row["weight_norm"] for name, row in look.gradients.items() if row["weight_norm"] > 0}
        for look in looks
    ]
    names = [name for name in shares[-1] if all(name in one for one in shares)]
    if len(names) < 3:
        return
    typical = {name: float(np.median([one[name] for one in shares])) for name in names}
    most = max(typical.values())
    if not most > 0:  # then nothing reaches any layer
        return
    small = [name for name in names[: (len(names) + 1) // 2] if typical[name] < 1e-4 * max(most, 1e-3)]
    if small:
        least = min(small, key=lambda name: typical[name])
        words = f"‖g‖/‖w‖ is {typical[least]:.2g} in {least} and up to {most:.2g} in later layers."
        yield Observation("vanishing_gradients", words, looks[0].step, tuple(small), {"ratio": typical[least]})


CAUSES = (exploding_gradients,)
CONSEQUENCES = (vanishing_gradients,)
