"""Class scores of a batch or of several, as numbers on the CPU."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
