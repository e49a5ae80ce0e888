"""Callbacks for a Trainer that does not name any: each Lightning package asks this room, for every Trainer."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_cnnviz.lightning import Callback

SWITCH = "CNNVIZ_AUTO"


def callbacks() -> "list[Callback]":
    """The standard preset if the environment variable `CNNVIZ_AUTO` is `1`, otherwise nothing.

    In a Trainer with visual callbacks of its own these do nothing.

    Example:
        >>> callbacks()
        []
    """
    if os.environ.get(SWITCH) != "1":
        return []  # having loaded nothing
    from lightning_cnnviz.callbacks.base import VisualCallback
    from lightning_cnnviz.presets import cnnviz_callbacks

    made = cnnviz_callbacks()
    for callback in made:
        if isinstance(callback, VisualCallback):
            callback.auto = True
    return made
