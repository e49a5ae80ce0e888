"""What the passes over a dataset tell of each of its samples."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[Any]
Integers: TypeAlias = npt.NDArray[Any]
Order: TypeAlias = Literal["mislabelled", "forgotten", "hardest"]


class SampleDynamics(NamedTuple):
    """What is known of each sample: arrays of shape (samples,). Samples without a pass have zeros and NaN.

    Attributes:
        targets: The given class index; -1 if unknown.
        predicted: The class index predicted in the last pass; -1 if there was none.
        passes: Number of passes in which the sample was seen.
        area_under_margin: Mean over the passes of the logit of the given class minus the largest of the others.
        confidence: Mean over the passes of the probability of the given class, 0…1.
        variability: Standard deviation over the passes of that probability, 0…0.5.
        correctness: Share of the passes in which the given class was predicted, 0…1.
        first_learned: Number of the first epoch, from 1, in which it was predicted; 0 if in none.
        forgotten: How often it was not predicted any more, having been so in the pass before.
    """

    targets: Integers
    predicted: Integers
    passes: Integers
    area_under_margin: Floats
    confidence: Floats
    variability: Floats
    correctness: Floats
    first_learned: Integers
    forgotten: Integers

    def take(self, numbers: Integers | int) -> "SampleDynamics":
        """Returns those of some samples, or of one."""
        return SampleDynamics(*(part[numbers] for part in self))

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Whether a sample was seen in any pass."""
        return np.asarray(self.passes > 0)


class SamplePass(NamedTuple):
    """One pass over a dataset: arrays of shape (samples,).

    Attributes:
        seen: How often the sample was seen in it, mostly once; 0 for one that was left out.
        margin: Mean margin in it; 0 if not seen.
        confidence: Mean confidence in it; 0 if not seen.
        predicted: Predicted class index; -1 if not seen.
        targets: Given class index; -1 if not seen.
    """

    seen: Integers
    margin: Floats
    confidence: Floats
    predicted: Integers
    targets: Integers


class RunningDynamics:
    """Adds up passes, each as it ends, in memory that does not grow with their number.

    Args:
        samples: Number of samples in the dataset.

    Example:
        >>> ones, running = np.ones(1, dtype=int), RunningDynamics(1)
        >>> for number, predicted in enumerate([0, 1, 0, 1], start=1):
        ...     running.add(SamplePass(ones, ones - 0.5, ones - 0.2, predicted * ones, ones), number)
        >>> found = running.dynamics()
        >>> found.first_learned.tolist(), found.forgotten.tolist(), found.correctness.tolist()
        ([2], [1], [0.5])
    """

    def __init__(self, samples: int) -> None:
        self._whole: dict[str, Integers] = {
            **{name: np.full(samples, -1, dtype=np.int32) for name in ("targets", "predicted")},
            **{name: np.zeros(samples, dtype=np.int32) for name in ("passes", "right", "first_learned", "forgotten")},
        }
        self._sums = {name: np.zeros(samples) for name in ("margin", "confidence", "squares")}

    def __len__(self) -> int:
        return len(self._sums["margin"])

    def add(self, one: SamplePass, epoch: int) -> None:
        """Adds a pass.

        Args:
            one: The pass.
            epoch: Number of its epoch, from 1.

        Raises:
            ValueError: If a sample has another class than before: it is not the same sample, or has no fixed class.
        """
        whole, seen = self._whole, one.seen > 0
        changed = np.flatnonzero(seen & (whole["passes"] > 0) & (whole["targets"] != one.targets))
        if len(changed):
            number = int(changed[0])
            raise ValueError(
                f"sample {number} had class {whole['targets'][number]} before and now has {one.targets[number]}, "
                f"as have {len(changed) - 1} more; only samples that keep their number and class can be followed"
            )
        right = seen & (one.predicted == one.targets)
        was_right = whole["predicted"] == whole["targets"]
        whole["forgotten"] += seen & ~right & was_right & (whole["passes"] > 0)
        whole["first_learned"][right & (whole["right"] == 0)] = epoch
        whole["right"] += right
        whole["passes"] += seen
        for name in ("targets", "predicted"):
            np.copyto(whole[name], getattr(one, name), where=seen, casting="same_kind")
        for name, values in zip(self._sums, (one.margin, one.confidence, one.confidence**2), strict=True):
            self._sums[name] += np.where(seen, values, 0)

    def dynamics(self) -> SampleDynamics:
        """Returns what the passes so far have told; arrays of its own."""
        whole = {name: part.copy() for name, part in self._whole.items()}
        with np.errstate(invalid="ignore", divide="ignore"):
            margin, confidence, squares = (part / whole["passes"] for part in self._sums.values())
            right = whole.pop("right") / whole["passes"]
        variability = np.sqrt(np.maximum(squares - confidence**2, 0))
        averages = {"area_under_margin": margin, "confidence": confidence, "variability": variability}
        return SampleDynamics(**whole, **averages, correctness=right)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns copies of all that is kept, name → array, for a checkpoint."""
        return {name: part.copy() for name, part in {**self._whole, **self._sums}.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "RunningDynamics":
        """Restores what `arrays` has returned."""
        running = cls(len(arrays["margin"]))
        for part in (running._whole, running._sums):
            for name in part:
                part[name] = arrays[name].astype(part[name].dtype)
        return running


def sample_dynamics(margins: Floats, confidences: Floats, predicted: Integers, targets: Integers) -> SampleDynamics:
    """Computes what passes over a dataset tell of each of its samples.

    Area under the margin: https://arxiv.org/abs/2001.10528; forgetting: https://arxiv.org/abs/1812.05159; confidence
    and variability: https://arxiv.org/abs/2009.10795.

    Args:
        margins: Shape (passes, samples), as of `sample_margins`; NaN where a sample was not seen.
        confidences: Probability of the given class, shape (passes, samples).
        predicted: Predicted class indices, shape (passes, samples).
        targets: Given class indices, shape (samples,).

    Returns:
        `first_learned` counts passes from 1.

    Raises:
        ValueError: If shapes differ.

    Example:
        >>> margins = np.array([[1.0, -2.0], [3.0, -1.0]])
        >>> found = sample_dynamics(margins, 0.5 + margins / 10, np.array([[1, 0], [1, 0]]), np.array([1, 1]))
        >>> found.area_under_margin.tolist(), found.first_learned.tolist()
        ([2.0, -1.5], [1, 0])
    """
    margins, confidences = np.asarray(margins), np.asarray(confidences)
    predicted, targets = np.asarray(predicted, dtype=np.int32), np.asarray(targets, dtype=np.int32)
    shapes = {margins.shape, confidences.shape, predicted.shape, (len(margins), *targets.shape)}
    if margins.ndim != 2 or len(shapes) > 1:
        raise ValueError(
            "expected margins, confidences and predicted of shape (passes, samples) and targets of shape (samples,), "
            f"got {margins.shape}, {confidences.shape}, {predicted.shape} and {targets.shape}"
        )
    running = RunningDynamics(len(targets))
    for number, rows in enumerate(zip(margins, confidences, predicted, strict=True), start=1):
        seen = np.isfinite(rows[0]) & np.isfinite(rows[1])
        running.add(SamplePass(seen.astype(int), *rows, targets), number)
    return running.dynamics()


def rank_samples(dynamics: SampleDynamics, by: Order, most: int | None = None) -> Integers:
    """Returns the numbers of the samples that stand out, those that stand out most first.

    Args:
        dynamics: From `sample_dynamics`.
        by: `"mislabelled"`: those whose label is probably wrong, on average over the passes less likely to the network
            than another one: lowest area under the margin first, which is below zero. `"forgotten"`: those forgotten
            most often; equals by the area under the margin. `"hardest"`: those that were learned, but have the lowest
            mean confidence.
        most: Maximum number of samples; None for all.

    Raises:
        ValueError: If `by` is unknown.

    Example:
        >>> margins = np.array([[1.0, -2.0, -3.0], [3.0, -1.0, -9.0]])
        >>> found = sample_dynamics(margins, margins * 0, np.zeros((2, 3), int), np.array([0, 1, 1]))
        >>> rank_samples(found, "mislabelled").tolist()
        [2, 1]
    """
    if by not in get_args(Order):
        raise ValueError(f"expected by to be one of {', '.join(get_args(Order))}, got {by!r}")
    margin = dynamics.area_under_margin
    if by == "mislabelled":
        candidates, keys = margin < 0, [margin]
    elif by == "forgotten":
        candidates, keys = dynamics.forgotten > 0, [margin, -dynamics.forgotten]
    else:
        candidates, keys = dynamics.first_learned > 0, [dynamics.confidence]
    numbers = np.flatnonzero(candidates)
    if most is not None and most < len(numbers):  # of many samples, only a few have to be put in order
        leading = keys[-1][numbers]
        numbers = numbers[leading <= np.partition(leading, most - 1)[most - 1]]
    order = np.lexsort([key[numbers] for key in keys])
    return np.asarray(numbers[order][:most])
