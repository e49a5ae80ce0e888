"""What is measured of a run, as numbers on the CPU; all that rules know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lightning_cnnviz.functional.diagnosis.look import Look
from lightning_cnnviz.functional.diagnosis.score_look import FloatArray, ScoreLook
from lightning_cnnviz.functional.diagnosis.setup import Setup
from lightning_cnnviz.model.loss_facts import GraphFacts, LossFacts


@dataclass
class Evidence:
    """All that is known of a run so far; it may not be changed once it was asked for what follows from it.

    Attributes:
        setup: What was known before the first step.
        step: Optimizer steps so far.
        losses: The loss of each batch.
        loss_steps: The optimizer step of each of them.
        loss_facts: Loss functions in the graph of the loss.
        graph: The operations in the graph of the loss; None if not known.
        looks: Training steps looked at closely, in order.
        scores: Scores of training batches, in order.
        validations: Scores of validations, in order.
        validation_losses: Optimizer step and loss of each validation, as the module has logged it, in order.
        leaked: Share of validation samples that were seen in training batches, estimated; NaN if not known.
        non_finite: What was found where the loss first became NaN or infinite, in words; and layers.
    """

    setup: Setup = field(default_factory=Setup)
    step: int = 0
    losses: FloatArray = field(default_factory=lambda: np.zeros(0))
    loss_steps: FloatArray = field(default_factory=lambda: np.zeros(0))
    loss_facts: Sequence[LossFacts] = ()
    graph: GraphFacts | None = None
    looks: Sequence[Look] = ()
    scores: Sequence[ScoreLook] = ()
    validations: Sequence[ScoreLook] = ()
    validation_losses: Sequence[tuple[int, float]] = ()
    leaked: float = math.nan
    non_finite: Mapping[str, Any] = field(default_factory=dict)

    # ---- of the loss

    @property
    def of_classes(self) -> bool:
        """Whether it is known that the loss compares class scores with class indices, and that scores are known."""
        return bool(self.scores)

    @cached_property
    def chance(self) -> float:
        """Cross-entropy of always giving the classes' shares, in nats; NaN if not known."""
        if not self.scores:
            return math.nan
        counts = ScoreLook.sum_of(self.scores[-50:]).class_counts
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    @property
    def start_loss(self) -> float:
        """Mean of the first five losses, where finite; NaN if there are none."""
        return _mean(self.losses[:5])

    @property
    def first_loss(self) -> float:
        """The loss before the first step; NaN if there is none."""
        return float(self.losses[0]) if len(self.losses) else math.nan

    def recent_loss(self, batches: int = 40) -> float:
        """Mean of the last losses; NaN if one of them is not finite."""
        recent = self.losses[-batches:]
        return float(recent.mean()) if len(recent) and np.isfinite(recent).all() else math.nan

    @cached_property
    def recent_scores(self) -> ScoreLook | None:
        """Scores of the last training batches, of some 300 samples and a third of the steps; None if below 100."""
        chosen: list[ScoreLook] = []
        for look in reversed(self.scores):
            if sum(one.samples for one in chosen) >= 300 or look.step < 0.67 * self.step:
                break
            chosen.insert(0, look)
        return ScoreLook.sum_of(chosen) if sum(one.samples for one in chosen) >= 100 else None

    @cached_property
    def is_stuck(self) -> bool:
        """Whether a classifier is hardly better than chance, or another loss no lower than at the start, by now."""
        if self.recent_scores is not None:
            at_chance = self.step >= 60 and not self.recent_cross_entropy < 0.93 * self.chance
            return at_chance and (self.plain_loss or not self._fell)
        return self._never_fell

    @property
    def saw_enough(self) -> bool:
        """Whether a classifier has seen enough samples, in all and of each class, to be better than chance."""
        classes = self.scores[-1].classes if self.scores else 0
        return self.step >= 200 and self.step * max(self.setup.batch_size, 1) >= max(5000, 200 * classes)

    @cached_property
    def is_slow(self) -> bool:
        """Whether a classifier's loss is still above half of chance, or another no lower than at the start, by now."""
        if self.recent_scores is not None:
            return self.step >= 100 and not self.recent_cross_entropy < 0.5 * self.chance
        return self._never_fell

    @cached_property
    def recent_cross_entropy(self) -> float:
        """Cross-entropy of the last training batches, in nats; NaN if not known."""
        recent = self.recent_scores
        return math.nan if recent is None else recent.mean_loss

    @cached_property
    def beats_chance(self) -> bool:
        """Whether a classifier was better than chance in a validation or, without one, is so in training.

        So it is where inputs tell little of the class, but not where the training is only learnt by heart.
        """
        judged = [one for one in self.validations if one.samples >= 100]
        if not judged and self.scores:
            judged = [ScoreLook.sum_of(self.scores[-20:])]
        return any(one.beats_chance for one in judged)

    @cached_property
    def plain_loss(self) -> bool:
        """Whether the loss is the cross-entropy with the classes of the batch and nothing else, as far as can be told.

        It is not where images are mixed and the loss knows, where classes or samples are weighted, or labels smoothed.
        """
        facts = [one for one in self.loss_facts if one.kind == "classes"]
        return (
            len(facts) == 1
            and not facts[0].weights
            and abs(self.recent_loss(100) / self.recent_cross_entropy - 1) < 0.15
        )

    @property
    def _fell(self) -> bool:
        """Whether the loss is a tenth lower than at the start."""
        return bool(np.median(self.losses[-50:]) < 0.9 * np.median(self.losses[:10])) if len(self.losses) else False

    @property
    def _never_fell(self) -> bool:
        """Whether a loss that is to be minimised, and cannot be negative, is no lower than at the start."""
        losses = self.losses
        if not self.setup.automatic or len(losses) < 200 or not losses[0] > 0 or (losses < 0).any():
            return False
        return not np.median(losses[-50:]) < 0.97 * np.median(losses[:10])

    # ---- of looks

    def recent_looks(self, most: int = 3) -> Sequence[Look]:
        """The last looks."""
        return self.looks[-most:]

    @cached_property
    def update_ratios(self) -> list[tuple[int, float, float]]:
        """Step, and median and maximum over layers of ‖Δw‖ / ‖w‖, of each look where it is known."""
        known = [
            (look.step, [row["update_ratio"] for row in look.gradients.values() if math.isfinite(row["update_ratio"])])
            for look in self.looks
        ]
        return [(step, float(np.median(ratios)), max(ratios)) for step, ratios in known if ratios]


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
