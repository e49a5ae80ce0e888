"""The rules: each a function from evidence to observations."""

from collections.abc import Callable, Iterable, Sequence

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation
from lightning_cnnviz.functional.diagnosis.rules import (
    activations,
    generalization,
    gradients,
    inputs,
    labels,
    loss,
    normalization,
    optimization,
    weights,
)

Rule = Callable[[Evidence], Iterable[Observation]]

CAUSES: Sequence[Rule] = (
    *loss.CAUSES,
    *optimization.CAUSES,
    *normalization.CAUSES,
    *inputs.CAUSES,
    *weights.CAUSES,
    *gradients.CAUSES,
    *labels.CAUSES,
    *activations.CAUSES,
    *generalization.CAUSES,
)
CONSEQUENCES: Sequence[Rule] = (*gradients.CONSEQUENCES, *activations.CONSEQUENCES)
"""What may be a fault of its own, or follow from one that keeps the network from learning."""
UNEXPLAINED: Sequence[Rule] = labels.UNEXPLAINED
"""What is told of a network that works, but does not learn."""
SYMPTOMS: Sequence[Rule] = (*labels.SYMPTOMS, *generalization.SYMPTOMS, *loss.SYMPTOMS)
"""What follows from many faults."""
HARMLESS_TO_LEARNING = {
    "leakage",
    "class_imbalance",
    "schedule_ends_early",
    "not_shuffled",
    "labels_shifted",
    "preprocessing_differs",
}
"""Causes that do not keep a network from learning what it is trained on."""
EXPLAINS = {
    "inputs_not_normalized": {"exploding_gradients", "learning_rate_too_high", "non_finite", "one_class_predicted"},
    "bad_initialization": {"exploding_gradients", "learning_rate_too_high", "one_class_predicted"},
    "one_class_predicted": {"exploding_gradients", "learning_rate_too_high"},
    "clipping_every_step": {"learning_rate_too_low"},
    "momentum_too_high": {"exploding_gradients", "non_finite"},
    "learning_rate_too_high": {"exploding_gradients"},
    "schedule_ends_early": {"labels_do_not_fit"},
    "gradients_not_cleared": {"exploding_gradients", "learning_rate_too_high", "momentum_too_high"},
}
"""Faults that need not be told where another is seen."""
