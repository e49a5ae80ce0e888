"""The callback class of whichever Lightning packages are installed.

`lightning` brings `pytorch-lightning` along, so there may be both, each with a `Trainer`, a `Callback` and a command
line of its own. Trainers call whatever has the hooks; command lines take classes that derive from their `Callback`.
"""

from typing import TYPE_CHECKING

import lightning_utilities.core.rank_zero as rank_zero
import pytorch_lightning

__all__ = ["Callback"]

if TYPE_CHECKING:
    from pytorch_lightning import Callback
else:
    log = rank_zero.log
    try:
        import lightning.pytorch
    except ImportError:
        Callback = pytorch_lightning.Callback
    else:

        class Callback(pytorch_lightning.Callback, lightning.pytorch.Callback):
            """A callback to both packages."""

    rank_zero.log = log  # a Trainer's messages go where they went before this import
