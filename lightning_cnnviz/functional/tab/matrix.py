"""Weights of a linear layer as data for the tab: a matrix, small enough to be written at every interval."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.image import Array, finite_range, to_array
from lightning_cnnviz.functional.tab.data import TabData

if TYPE_CHECKING:
    import torch

MAX_STORED_SIDE = 96
"""Maximum number of rows and of columns; of a larger matrix the means over equal blocks are kept."""


class MatrixSelection(NamedTuple):
    """What is kept of the weights of a linear layer.

    Attributes:
        values: Means over blocks, shape (rows, columns).
        low: Smallest weight of each row of blocks, shape (rows,).
        high: Largest weight, likewise.
        shape: Output and input features of the layer.
        block: Weights per block, down and across; (1, 1) if all are kept.
    """

    values: Array
    low: Array
    high: Array
    shape: tuple[int, int]
    block: tuple[int, int]


def select_matrix(weight: "torch.Tensor") -> MatrixSelection:
    """Reduces the weights of a linear layer to what the tab shows of them, which takes much less memory.

    Args:
        weight: Shape (out_features, in_features).

    Example:
        >>> import torch
        >>> selection = select_matrix(torch.ones(10, 400))
        >>> selection.values.shape, selection.block
        ((10, 80), (1, 5))
    """
    from torch.nn.functional import avg_pool2d  # imported here because drawing itself does not need PyTorch

    rows, columns = weight.shape
    down, across = (-(-side // MAX_STORED_SIDE) for side in (rows, columns))
    weights = weight.detach().float()
    means = avg_pool2d(weights[None], (down, across), ceil_mode=True)[0] if max(down, across) > 1 else weights
    starts = np.arange(0, rows, down)
    low = np.minimum.reduceat(to_array(weights.amin(1)), starts)
    high = np.maximum.reduceat(to_array(weights.amax(1)), starts)
    return MatrixSelection(to_array(means), low, high, (rows, columns), (down, across))


def matrix_tab_data(selection: MatrixSelection, layer: str) -> TabData:
    """Returns the weights of a linear layer as data for the tab.

    Example:
        >>> import torch
        >>> matrix_tab_data(select_matrix(torch.ones(3, 200)), "fc2").info
        {'channels': [0, 1, 2], 'shape': [3, 200], 'block': [1, 3], 'range': [1.0, 1.0]}
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "values": selection.values.astype(np.float16),
        "low": selection.low,
        "high": selection.high,
    }
    rows, down = selection.shape[0], selection.block[0]
    info: dict[str, Any] = {
        "channels": list(range(0, rows, down)),
        "shape": list(selection.shape),
        "block": list(selection.block),
    }
    info["range"] = list(finite_range(selection.values))
    return TabData("weights", {"layer": layer}, info, arrays)
