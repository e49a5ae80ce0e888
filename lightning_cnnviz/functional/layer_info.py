"""What is known of a layer that ran."""

from typing import Literal, NamedTuple, TypeAlias

Role: TypeAlias = Literal[
    "convolution", "normalisation", "activation", "pooling", "linear", "attention", "dropout", "other"
]


class LayerInfo(NamedTuple):
    """A layer, as it ran.

    Attributes:
        name: As in `named_modules`; empty for the model itself.
        kind: Class name.
        role: What it does.
        output_shape: Of its first run, without the batch dimension; None if it gave no tensor.
        parameters: Its own entries of parameters; of what several layers share the first has them all.
        trainable: Of these, those that require a gradient.
        multiply_adds: Multiplications with addition per sample, over all its runs.
        runs: How often it ran in the pass.
    """

    name: str
    kind: str
    role: Role
    output_shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    multiply_adds: int
    runs: int
