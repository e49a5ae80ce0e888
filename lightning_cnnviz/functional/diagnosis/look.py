"""A training step that was looked at closely, as numbers on the CPU."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lightning_cnnviz.model.input_tap import NormalizationLook


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
