"""What all detectors beside `Diagnosis` have in common."""

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl


class Report(NamedTuple):
    """What a detector says of a run.

    Attributes:
        name: Of the problem, in the words of the detector.
        step: At which it was said.
    """

    name: str
    step: int


class Watcher(pl.Callback):
    """A detector that watches a run and does not change it.

    Attributes:
        name: In the table.
        package: As it is installed; empty if its rules are written here.
        module: As it is imported.
        meaning: The rules of `Diagnosis` with which each report agrees. It is generous: a report counts as right
            if the cause is any of those that its authors name for it, or one that directly leads to it.
    """

    name: ClassVar[str]
    package: ClassVar[str] = "pytorch-lightning"
    module: ClassVar[str] = "pytorch_lightning"
    meaning: ClassVar[dict[str, tuple[str, ...]]]

    def __init__(self) -> None:
        self.said: list[Report] = []

    def say(self, trainer: pl.Trainer, name: str) -> None:
        """Keeps a report, the first time."""
        if all(report.name != name for report in self.said):
            self.said.append(Report(name, trainer.global_step))

    def reports(self) -> list[Report]:
        """What it says, also after a run that ended with an error."""
        return self.said

    @classmethod
    def installed(cls) -> bool:
        """Whether it can watch."""
        return find_spec(cls.module) is not None

    def result(self) -> dict[str, Any]:
        """All that is kept of it."""
        return {
            "version": version(self.package) if self.package else "",
            "reports": [list(report) for report in self.reports()],
        }


DIVERGES = (
    "exploding_gradients",
    "bad_initialization",
    "inputs_not_normalized",
    "learning_rate_too_high",
    "momentum_too_high",
    "gradients_not_cleared",
)
"""Rules of `Diagnosis` that tell why numbers grow."""

OVERFLOWS = ("non_finite", "half_precision_overflow", *DIVERGES)
"""Rules of `Diagnosis` that tell why numbers are not finite any more."""

FADES = (
    "vanishing_gradients",
    "saturated_activations",
    "dead_units",
    "bad_initialization",
    "layer_not_trained",
    "half_precision_underflow",
    "inputs_not_normalized",
)
"""Rules of `Diagnosis` that tell why gradients are small."""

STANDS_STILL = (
    "learning_rate_too_low",
    "loss_does_not_fall",
    "layer_not_trained",
    "schedule_ends_early",
    "clipping_every_step",
    "weight_decay_too_strong",
    "bad_initialization",
    "underfitting",
    "bottleneck",
    "labels_do_not_fit",
    "one_class_predicted",
    "softmax_before_loss",
    "wrong_loss",
    "dropout_too_strong",
    "half_precision_underflow",
    "vanishing_gradients",
    "dead_units",
)
"""Rules of `Diagnosis` that tell why a network does not learn."""
