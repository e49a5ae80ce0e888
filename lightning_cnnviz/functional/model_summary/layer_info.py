"""What is known of a layer that ran."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from lightning_cnnviz.functional.tab.data import TabData

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


def model_tab_data(name: str, layers: Sequence[LayerInfo], input_shape: Sequence[int]) -> TabData:
    """A model's layers in the order in which they run, for the tab.

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
