"""Factory of default callbacks; each Lightning package calls it for every Trainer, through an entry point."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_cnnviz.lightning import Callback

SWITCH = "CNNVIZ_AUTO"


def callbacks() -> "list[Callback]":
    """Returns the standard preset if the environment variable `CNNVIZ_AUTO` is `1`, otherwise an empty list.

    In a Trainer that was given visual callbacks explicitly, the automatic ones do nothing.

    Example:
        >>> callbacks()
        []
    """
    if os.environ.get(SWITCH) != "1":
        return []  # without importing anything
    from lightning_cnnviz.callbacks.base import VisualCallback
    from lightning_cnnviz.callbacks.diagnosis import Diagnosis
    from lightning_cnnviz.presets import cnnviz_callbacks

    made = cnnviz_callbacks()
    for callback in made:
        if isinstance(callback, (VisualCallback, Diagnosis)):
            callback.auto = True
    return made
