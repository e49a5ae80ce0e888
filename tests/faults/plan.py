"""What is broken in which run, all of it from one seed."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SIGNALS = {"kill -9", "SIGTERM", "Ctrl-C", "Ctrl-C twice"}
"""End the run; all others have to leave it to its end."""
IN_TRAINING = {"broken weights", "broken activations", "broken gradients", "degenerate data"}
"""Change the training itself, with us and without."""
SHARES = {
    "exception": 12,
    "kill -9": 4,
    "SIGTERM": 3,
    "Ctrl-C": 5,
    "Ctrl-C twice": 4,
    "helper killed": 4,
    "helper killed again and again": 2,
    "helper does not start": 1,
    "disk full": 4,
    "read-only folder": 3,
    "slow disk": 2,
    "queue full": 2,
    "broken weights": 2,
    "broken activations": 2,
    "broken gradients": 2,
    "degenerate data": 2,
}
"""Faults, and how often each comes among the others."""
PHASES = (
    *("setup", "on_fit_start", "on_sanity_check_start", "on_sanity_check_end", "on_train_start"),
    *("on_train_epoch_start", "on_train_batch_start", "on_after_backward", "on_before_optimizer_step"),
    *("on_train_batch_end", "on_validation_start", "on_validation_batch_end", "on_validation_end"),
    *("on_train_epoch_end", "on_train_end", "on_fit_end", "teardown", "closing", "computing"),
)
"""Hooks of Lightning, and while the last pictures are waited for or a layout is computed in the helper."""
LATEST = 3.0
"""Seconds after the beginning of `fit`, about when a run ends."""
CALLBACKS = (
    *(
        "ActivationMaximization",
        "ActivationStats",
        "Architecture",
        "ClassReport",
        "EmbeddingProjection",
        "FeatureMaps",
    ),
    *("FilterResponse", "GradientFlow", "KernelGrid", "LossAccuracy", "MaximallyActivatingPatches", "Saliency"),
)
ON_THE_PLANE = ("ClassReport", "GradientFlow", "InputPartition", "LossAccuracy")


@dataclass(frozen=True)
class Case:
    """One run and its fault.

    Attributes:
        number: Of the run.
        fault: One of `SHARES`; "" for none.
        net: "image" or "plane".
        callbacks: Class names of ours; none for a bare run.
        every_step: Whether pictures come with every second step instead of every epoch.
        moment: A phase and how often it has begun, or seconds since the beginning of `fit`.
        first: Whether whoever breaks things comes before our callbacks in the trainer's list.
        detail: More of what the fault needs.
    """

    number: int
    fault: str
    net: str
    callbacks: tuple[str, ...]
    every_step: bool = False
    moment: tuple[str, int] | float = 0.0
    first: bool = False
    detail: Any = None

    @property
    def bare(self) -> "Case":
        """The same training without us."""
        fault = self.fault if self.fault in IN_TRAINING else ""
        return Case(0, fault, self.net, (), detail=self.detail if fault else None)


def plan(runs: int, seed: int, calls: Mapping[str, Mapping[str, int]], only: str = "") -> Iterator[Case]:
    """Draws runs.

    Args:
        runs: How many.
        seed: The same runs for the same seed.
        calls: For each net, function of ours → how often a run without faults calls it.
        only: A fault, instead of all.
    """
    for number in range(1, runs + 1):
        rng = random.Random(f"{seed} {number}")  # what one case draws is nothing to the others
        fault = only or rng.choices(list(SHARES), list(SHARES.values()))[0]
        net = rng.choice(["image", "image", "image", "plane"])
        known = CALLBACKS if net == "image" else ON_THE_PLANE
        few = fault != "exception"
        some = tuple(sorted(rng.sample(known, rng.randint(2, min(4, len(known)))))) if few else known
        by_time = fault in SIGNALS and rng.random() < 0.5
        moment = (
            rng.uniform(0, LATEST)
            if by_time or fault.startswith("helper")
            else (rng.choice(PHASES), rng.randint(1, 3))
        )
        yield Case(
            number, fault, net, some, rng.random() < 0.4, moment, rng.random() < 0.5, _detail(fault, calls[net], rng)
        )


def _detail(fault: str, calls: Mapping[str, int], rng: random.Random) -> Any:
    if fault == "exception":
        name = rng.choice(sorted(calls))
        return name, rng.randint(1, min(calls[name], 30)), rng.random() < 0.5
    if fault.startswith("broken"):
        return rng.randint(1, 10), rng.choice(["nan", "inf", "-inf"]), rng.random() < 0.5
    if fault == "degenerate data":
        return rng.choice([0.0, 1.0, 1e30])
    if fault == "Ctrl-C twice":
        return rng.uniform(0, 0.5)
    return rng.randrange(1000)
