"""Colours of all pictures, read from `colours.json`, which the TensorBoard tab reads as well."""

import json
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Colours: TypeAlias = npt.NDArray[np.uint8]
"""Shape (entries, 3), RGB, 0…255."""

_TABLES = json.loads(Path(__file__).with_name("colours.json").read_text(encoding="utf-8"))


def _table(name: str) -> Colours:
    return np.array(_TABLES[name], dtype=np.uint8)


# All are safe for colour-blind readers. An odd number of entries puts zero exactly in the middle. Together with the
# shades of text and outlines, a map stays within the 256 colours of a palette, which halves the file size.
DIVERGING = _table("diverging")
"""matplotlib's RdBu_r, but with a neutral grey at zero."""
SEQUENTIAL = _table("sequential")
"""matplotlib's viridis."""
CLASSES = _table("classes")
"""Ten class colours that colour-blind readers can tell apart: petroff10, https://arxiv.org/abs/2107.02270."""
RAINBOW = _table("rainbow")
"""matplotlib's turbo, for more than ten classes."""
NON_FINITE = _table("non_finite")
"""Magenta, for NaN and infinity; it occurs in none of the colour maps."""
NO_CLASS = _table("no_class")
"""Grey, for samples without a class."""


def class_colours(count: int) -> Colours:
    """Returns one colour per class: up to ten that colour-blind readers can tell apart, for more a rainbow.

    Example:
        >>> class_colours(2).tolist()
        [[63, 144, 218], [255, 169, 14]]
    """
    if count <= len(CLASSES):
        return CLASSES[:count]
    return np.asarray(RAINBOW[(np.linspace(0.03, 0.97, count) * len(RAINBOW)).astype(int)])
