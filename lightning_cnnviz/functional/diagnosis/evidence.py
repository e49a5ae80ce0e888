"""What is measured of a run, as numbers on the CPU; all that rules know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.model.input_tap import NormalizationLook
from lightning_cnnviz.model.loss_facts import GraphFacts, LossFacts
from lightning_cnnviz.model.training_setup import LayerSetup, OptimizerSetup

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Setup:
    """What is known before the first step.

    Attributes:
        layers: Name → layer with weights, in network order.
        optimizers: All optimizers.
        automatic: Whether Lightning calls the optimizer.
        planned_steps: Optimizer steps that the run is to have; infinite if not known.
        epoch_steps: Optimizer steps of an epoch; infinite if not known.
        clip_norm: Norm to which gradients are clipped; infinite without.
        half: Whether numbers are computed in float16.
        dropout: Highest probability of the dropout layers.
        normalizations: Names of batch normalisation layers.
        sequential: Whether training samples come in the order of the dataset.
        class_counts: Training samples of each class; empty if not known.
        purity: Mean share of the most frequent class in blocks of successive training samples of the size of a batch,
            in the order of the dataset; NaN if not known.
        batch_size: Samples of a training batch.
        shared_samples: Share of validation samples that are training samples, as the datasets tell; NaN if unknown.
        has_class_names: Whether the dataset tells names of classes.
        waits_for_plateaus: Whether a scheduler lowers the learning rate where a metric no longer gets better.
    """

    layers: Mapping[str, LayerSetup] = field(default_factory=dict)
    optimizers: Sequence[OptimizerSetup] = ()
    automatic: bool = True
    planned_steps: float = math.inf
    epoch_steps: float = math.inf
    clip_norm: float = math.inf
    half: bool = False
    dropout: float = 0.0
    normalizations: Sequence[str] = ()
    sequential: bool = False
    class_counts: Sequence[int] = ()
    purity: float = math.nan
    batch_size: int = 0
    shared_samples: float = math.nan
    has_class_names: bool = False
    waits_for_plateaus: bool = False


class LayerLook(NamedTuple):
    """What a layer returned in one pass.

    Attributes:
        std: Standard deviation of its values.
        dead: Share of units that were never positive; NaN where that means nothing.
        saturated: Share of values at a bound; NaN where there is none.
        non_finite: Number of values that are NaN or infinite.
        variation: Largest difference between two samples in one value, as a share of the largest |value|.
        values: Number of its values for a sample.
        directions: Number of directions in which samples differ, the rank of its values less their mean, of the last
            layer with weights; 0 if not known.
    """

    std: float
    dead: float
    saturated: float
    non_finite: int
    variation: float
    values: int = 0
    directions: int = 0


@dataclass(frozen=True)
class Look:
    """One training step, looked at closely.

    Attributes:
        step: Optimizer step at the end of it.
        gradients: Layer → statistics of its weight's gradient, as of `GradientWindow`.
        without_gradient: Layers that ran, whose weight requires a gradient, is in an optimizer, and has none.
        total_norm: Norm of the gradient of all parameters.
        layers: Layer → what it returned.
        alike: Layers whose units all have the same weights.
        normalizations: Name → batch normalisation.
        evaluating: Layers in evaluation mode that ought to be training: name → kind.
        as_in_evaluation: Batch normalisations in evaluation mode whose scale is trained.
        learning_rates: Of each parameter group.
        received: Smallest, largest, mean and standard deviation of what the first layer with weights receives.
        uncleared: Parameters whose gradients were not cleared since the step before.
        samples: Samples in the batch.
    """

    step: int
    gradients: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    without_gradient: Sequence[str] = ()
    total_norm: float = math.nan
    layers: Mapping[str, LayerLook] = field(default_factory=dict)
    alike: Sequence[str] = ()
    normalizations: Mapping[str, NormalizationLook] = field(default_factory=dict)
    evaluating: Mapping[str, str] = field(default_factory=dict)
    as_in_evaluation: Sequence[str] = ()
    learning_rates: Sequence[float] = ()
    received: Sequence[float] = ()
    uncleared: int = 0
    samples: int = 0


@dataclass(frozen=True)
class ScoreLook:
    """Scores of one batch, or of several.

    Attributes:
        step: Optimizer step.
        classes: Number of classes that the model has scores for.
        true: Class index of each sample, of those that have one.
        predicted: Predicted class index of each of them.
        losses: Cross-entropy of each of them, in nats.
        ranks: Of each that is a mistake, which share of the other classes, apart from the predicted one, have a higher
            score than the true one: 0 for the second best, 1 for the last; otherwise NaN.
        means: Mean of the inputs, by channel.
        deviations: Their standard deviation, by channel.
        roughness: Mean |difference| of neighbours in the last dimension, as a share of the deviation; NaN if unknown.
    """

    step: int
    classes: int
    true: IntArray
    predicted: IntArray
    losses: FloatArray
    ranks: FloatArray
    means: FloatArray
    deviations: FloatArray
    roughness: float = math.nan

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.true)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions, 0…1; NaN without samples."""
        return float((self.true == self.predicted).mean()) if self.samples else math.nan

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy, in nats; NaN without samples."""
        return float(self.losses.mean()) if self.samples else math.nan

    @property
    def mistakes(self) -> int:
        """Number of mistakes."""
        return int((self.true != self.predicted).sum())

    @property
    def mean_rank(self) -> float:
        """Mean rank of the true class in mistakes, 0…1, 0.5 if it is as good as random; NaN without mistakes."""
        known = self.ranks[np.isfinite(self.ranks)]
        return float(known.mean()) if len(known) else math.nan

    @property
    def beats_chance(self) -> bool:
        """Whether the loss, by three times the error of its mean, or the accuracy, by four, is better than chance."""
        if not self.samples:
            return False
        shares = self.class_counts[self.class_counts > 0] / self.samples
        chance, most = float(-(shares * np.log(shares)).sum()), float(shares.max())
        accurate = self.accuracy > most + 4 * math.sqrt(most * (1 - most) / self.samples)
        return accurate or self.mean_loss < chance - 3 * float(self.losses.std()) / math.sqrt(self.samples)

    @property
    def class_counts(self) -> IntArray:
        """Number of samples of each class."""
        return np.bincount(self.true, minlength=self.classes)

    @property
    def counts(self) -> IntArray:
        """Confusion matrix, shape (classes, classes): rows are the true classes."""
        cells = np.bincount(self.true * self.classes + self.predicted, minlength=self.classes**2)
        return cells.reshape(self.classes, self.classes)

    @staticmethod
    def sum_of(looks: Sequence["ScoreLook"]) -> "ScoreLook":
        """Returns the looks as one, of the step and with the number of classes of the last."""
        alike = [
            look for look in looks if look.classes == looks[-1].classes and len(look.means) == len(looks[-1].means)
        ]
        weights = [max(look.samples, 1) for look in alike]
        means = np.average([look.means for look in alike], axis=0, weights=weights)
        squares = [look.deviations**2 + look.means**2 for look in alike]
        variances = np.average(squares, axis=0, weights=weights) - means**2
        true, predicted = (np.concatenate([getattr(look, name) for look in alike]) for name in ("true", "predicted"))
        losses, ranks = (np.concatenate([getattr(look, name) for look in alike]) for name in ("losses", "ranks"))
        deviations = np.sqrt(np.maximum(variances, 0))
        roughness = float(np.average([look.roughness for look in alike], weights=weights))
        return ScoreLook(
            looks[-1].step, looks[-1].classes, true, predicted, losses, ranks, means, deviations, roughness
        )


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
