"""The `Callback` base class of whichever Lightning packages are installed.

`lightning` depends on `pytorch-lightning`, so both may be installed, each with its own `Trainer`, `Callback` and
`LightningCLI`. A Trainer calls any object that has the hooks; a CLI accepts only subclasses of its own `Callback`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import lightning_utilities.core.rank_zero as rank_zero
import pytorch_lightning
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

__all__ = [
    "Callback",
    "averages_weights",
    "evaluation_stage",
    "logged_step",
    "loss_scale",
    "running_hook",
    "step_after_batch",
    "step_only_metrics",
]

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


def averages_weights(trainer: Trainer) -> bool:
    """Whether the module validates with an average of its weights, which Lightning exchanges for that time only.

    So do `WeightAveraging` and `EMAWeightAveraging` (from Lightning 2.6); `StochasticWeightAveraging` puts its average
    in place after the last epoch and is not concerned.
    """
    kinds = {base.__name__ for callback in trainer.callbacks for base in type(callback).__mro__}  # type: ignore[attr-defined]
    return "WeightAveraging" in kinds


def logged_step(trainer: Trainer) -> int:
    """The step under which the run logs: optimizer steps or, with manual optimization, batches.

    With several optimizers `trainer.global_step` counts the steps of all of them, and none of those that a raw
    optimizer makes; `self.log` of the user's module counts batches there.
    """
    module: LightningModule | None = trainer.lightning_module  # none outside of a run
    if module is None or module.automatic_optimization:
        return trainer.global_step
    return trainer.fit_loop.epoch_loop.total_batch_idx + 1


def step_after_batch(trainer: Trainer, batch_idx: int) -> int:
    """The step under which the run logs as the training batch that begins now ends.

    Args:
        trainer: The trainer, in `on_train_batch_start`.
        batch_idx: Number of the batch in its epoch, from 0.
    """
    step = logged_step(trainer)
    if not trainer.lightning_module.automatic_optimization:  # batches are counted as they begin
        return step
    return step + ((batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch)


def loss_scale(trainer: Trainer) -> Tensor | None:
    """The factor by which mixed precision scales losses, a scalar on its device.

    None without a scaler, or before its first loss.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    scale = None if scaler is None else scaler.scale(torch.ones((), device=trainer.strategy.root_device))
    return scale if isinstance(scale, Tensor) else None


def running_hook(trainer: Trainer) -> str | None:
    """Name of the hook that Lightning calls now; None between hooks, as where it begins to iterate a dataloader.

    Only the private name under which the module would log knows it; `tests/test_lightning.py` checks it.
    """
    hook: str | None = getattr(trainer.lightning_module, "_current_fx_name", None)
    return hook


def step_only_metrics(trainer: Trainer) -> set[str]:
    """Names that the training logs as the value of a step and not as a mean over the epoch.

    `trainer.callback_metrics` does not distinguish the two: after an epoch it holds the value that happened to be
    logged last. How a metric was logged is known to the private results of the training loop only;
    `tests/test_lightning.py` checks them.
    """
    results = trainer.fit_loop.epoch_loop._results
    return {str(result.meta.name) for result in results.values() if not result.meta.on_epoch}
