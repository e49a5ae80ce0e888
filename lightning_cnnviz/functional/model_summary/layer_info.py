"""Description of a layer that has run."""

from typing import Literal, NamedTuple, TypeAlias

Role: TypeAlias = Literal[
    "convolution", "normalisation", "activation", "pooling", "linear", "attention", "dropout", "other"
]


class LayerInfo(NamedTuple):
    """A layer, as observed in a forward pass.

    Attributes:
        name: As in `named_modules`; empty for the model itself.
        kind: Class name.
        role: Type of layer.
        output_shape: Output shape of its first call, without the batch dimension; None if it returned no tensor.
        parameters: Number of its parameters; shared parameters are counted for the first layer only.
        trainable: Number of these that require a gradient.
        multiply_adds: Multiply-add operations per sample, summed over all calls.
        runs: Number of calls in the forward pass.
    """

    name: str
    kind: str
    role: Role
    output_shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    multiply_adds: int
    runs: int
