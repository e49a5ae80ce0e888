"""What is known of a run before its first step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lightning_cnnviz.model.training_setup import LayerSetup, OptimizerSetup


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
