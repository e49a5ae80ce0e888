"""The `Callback` base class of whichever Lightning packages are installed.

`lightning` depends on `pytorch-lightning`, so both may be installed, each with its own `Trainer`, `Callback` and
`LightningCLI`. A Trainer calls any object that has the hooks; a CLI accepts only subclasses of its own `Callback`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import lightning_utilities.core.rank_zero as rank_zero
import pytorch_lightning
from pytorch_lightning import Trainer

__all__ = ["Callback", "evaluation_stage"]

if TYPE_CHECKING:
    from pytorch_lightning import Callback
else:
    # Private API: the package that is imported last sets this logger for both, so our import would change the logger
    # name of a Trainer's messages. Tested in `tests/test_lightning.py`.
    log = rank_zero.log
    try:
        import lightning.pytorch
    except ImportError:
        Callback = pytorch_lightning.Callback
    else:

        class Callback(pytorch_lightning.Callback, lightning.pytorch.Callback):
            """A callback of both packages."""

    rank_zero.log = log


@contextmanager
def evaluation_stage(trainer: Trainer, evaluating: bool) -> Iterator[None]:
    """Context in which the trainer reports the validation stage to user hooks; on exit it is training again.

    The setters of `Trainer.validating` and `Trainer.training` are undocumented, but there is no other way for
    `on_after_batch_transfer` to see which stage a batch belongs to. Tested in `tests/test_lightning.py`.

    Args:
        trainer: The trainer.
        evaluating: False leaves the training stage as it is.
    """
    try:
        trainer.validating = evaluating
        yield
    finally:
        trainer.training = True
