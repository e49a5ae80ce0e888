"""Description of a layer that has run."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from lightning_cnnviz.functional.tab.data import TabData

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


def model_tab_data(name: str, layers: Sequence[LayerInfo], input_shape: Sequence[int]) -> TabData:
    """Returns the layers of a model, in order of execution, as data for the tab.

    Example:
        >>> info = LayerInfo("fc", "Linear", "linear", (10,), 110, 110, 100, 1)
        >>> model_tab_data("Net", [info], (1, 28, 28)).info["layers"][0]["parameters"]
        110
    """
    rows = [
        {
            "name": info.name,
            "kind": info.kind,
            "shape": None if info.output_shape is None else list(info.output_shape),
            "parameters": info.parameters,
            "trainable": info.trainable,
        }
        for info in layers
    ]
    return TabData("model", {}, {"name": name, "input_shape": list(input_shape), "layers": rows}, {})
