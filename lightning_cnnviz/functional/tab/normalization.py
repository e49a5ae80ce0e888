"""Weights and running statistics of a normalisation layer as data for the tab."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lightning_cnnviz.functional.drawing.image import Array, ArrayLike, finite_range, to_array
from lightning_cnnviz.functional.tab.data import TabData

MAX_CHANNELS = 512
"""Maximum number of channels kept, starting from the first."""


class NormalizationSelection(NamedTuple):
    """What is kept of a normalisation layer.

    Attributes:
        values: Float32 of shape (quantities, channels kept).
        quantities: What the rows are, e.g. `"weight"` or `"running_var"`.
        shape: Shape of the weights: one entry, unless a `LayerNorm` or `RMSNorm` is over several dimensions, whose
            weights are flattened.
    """

    values: Array
    quantities: list[str]
    shape: tuple[int, ...]


def select_normalization(values: Mapping[str, ArrayLike]) -> NormalizationSelection:
    """Keeps the first 512 channels of what a normalisation layer learns and measures.

    Args:
        values: Name of each quantity → its values, all of one shape; at least one.

    Example:
        >>> selection = select_normalization({"weight": np.ones((8, 100)), "bias": np.zeros((8, 100))})
        >>> selection.values.shape, selection.quantities, selection.shape
        ((2, 512), ['weight', 'bias'], (8, 100))
    """
    shape = tuple(next(iter(values.values())).shape)
    rows = [to_array(value.reshape(-1)[:MAX_CHANNELS]) for value in values.values()]
    return NormalizationSelection(np.stack(rows), list(values), shape)


def normalization_tab_data(selection: NormalizationSelection, layer: str) -> TabData:
    """Returns the weights and running statistics of a normalisation layer, with the finite range of each quantity.

    Example:
        >>> normalization_tab_data(select_normalization({"weight": np.ones(3)}), "norm").info
        {'channels': [0, 1, 2], 'quantities': ['weight'], 'shape': [3]}
    """
    ranges = np.array([finite_range(row) for row in selection.values], dtype=np.float32)
    info = {
        "channels": list(range(selection.values.shape[1])),
        "quantities": selection.quantities,
        "shape": list(selection.shape),
    }
    arrays = {"values": selection.values, "low": ranges[:, 0].copy(), "high": ranges[:, 1].copy()}
    return TabData("normalization", {"layer": layer}, info, arrays)
