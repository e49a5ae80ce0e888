"""Results of a drawing: encoded pictures, data for the tab, or both."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from lightning_cnnviz.functional.drawing import fonts
from lightning_cnnviz.functional.drawing.encode import Encoded, encode
from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.tab.data import TabData

Drawn: TypeAlias = "Picture | Encoded | TabData | list[Encoded | TabData]"
"""Result of a drawing: a picture, data for the tab, or a list of both."""


def draw_encoded(draw: Callable[[], Drawn]) -> list[Encoded | TabData | str]:
    """Runs a drawing and returns its results as a list: pictures encoded, and as texts what is to be said of them."""
    known = set(fonts.missing)
    drawn = draw()
    results = [encode(drawn)] if isinstance(drawn, np.ndarray) else drawn if isinstance(drawn, list) else [drawn]
    lacking = fonts.missing - known
    return [*results, fonts.note(lacking)] if lacking else [*results]


def drawn_for_tab(kind: str, names: Mapping[str, str], draw: Callable[[], Picture]) -> list[Encoded | TabData]:
    """Draws a picture that the tab shows as it is; returns it encoded, and the same picture as data for the tab.

    Args:
        kind: Kind of the record, see `TabData`.
        names: What identifies it within its kind.
        draw: Returns the picture.

    Example:
        >>> picture, record = drawn_for_tab("patches", {"layer": "conv1"}, lambda: np.zeros((20, 30, 3), np.uint8))
        >>> record.tag, record.info["width"]
        ('cnnviz/patches/conv1', 30)
    """
    picture = encode(draw())
    info = {"width": picture.width, "height": picture.height}
    arrays = {"png": np.frombuffer(picture.data, dtype=np.uint8)}
    return [picture, TabData(kind, names, info, arrays)]
