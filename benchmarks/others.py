"""What we are compared with, as callbacks: the tutorials' way, TensorBoard's histograms, wandb.watch, Cockpit."""

import tempfile
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from benchmarks.models import BATCH_SIZE

MAX_GIGABYTES = 1.0
"""What Cockpit's gradients of each single sample may take."""


class TutorialGradients(pl.Callback):
    """The tutorials' way: after each backward pass the norm of every gradient, each waited for."""

    def __init__(self) -> None:
        self.norms: dict[str, list[float]] = {}

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the norms as numbers."""
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None:
                self.norms.setdefault(name, []).append(parameter.grad.norm().item())


class GradientHistograms(pl.Callback):
    """TensorBoard's own: `add_histogram` of every gradient at every step."""

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the histograms."""
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None:
                trainer.logger.experiment.add_histogram(f"gradients/{name}", parameter.grad, trainer.global_step)


class WandbWatch(pl.Callback):
    """`wandb.watch` of the gradients, in a run that stays offline.

    Args:
        log_freq: Steps from one histogram of all gradients to the next.

    Raises:
        ImportError: Without wandb.
    """

    def __init__(self, log_freq: int) -> None:
        import wandb

        self.wandb = wandb
        self.log_freq = log_freq
        self._folder = tempfile.TemporaryDirectory()
        self._run: Any = None
        self._module: pl.LightningModule | None = None
        self._watching = False

    def switched(self, on: bool) -> None:
        """Takes the hooks off the parameters, or puts them on."""
        if self._run is not None and on != self._watching:
            self._watching = on
            if on:
                self._run.watch(self._module, log="gradients", log_freq=self.log_freq)
            else:
                self._run.unwatch(self._module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins the run."""
        settings = self.wandb.Settings(silent=True, console="off", x_disable_stats=True)
        self._run = self.wandb.init(mode="offline", dir=self._folder.name, settings=settings)
        self._module = pl_module
        self.switched(True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs a number, with which wandb sends what it has watched."""
        if trainer.global_step % self.log_freq == 0:
            self._run.log({"step": trainer.global_step})

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ends the run."""
        self.switched(False)
        self._run.finish()
        self._run = self._module = None
        self._folder.cleanup()


class CockpitEconomy(pl.Callback):
    """Cockpit's smallest configuration, "economy", tracked at every step.

    Reference: Schneider, Dangel and Hennig, "Cockpit: A Practical Debugging Tool for the Training of Deep Neural
    Networks", NeurIPS 2021. Version 1.0.2 imports `pkg_resources`, which setuptools has up to version 80.

    Raises:
        ImportError: Without cockpit-for-pytorch, or with a newer setuptools.
    """

    def __init__(self) -> None:
        import backpack
        import cockpit
        from cockpit.utils.configuration import configuration

        self._extend = backpack.extend
        self._make = lambda parameters: cockpit.Cockpit(parameters, quantities=configuration("economy"))
        self._cockpit: Any = None
        self._context: Any = None
        self._individual = torch.empty(0)
        self._steps = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts BackPACK's hooks on layers and loss."""
        weights = sum(parameter.numel() for parameter in pl_module.parameters())
        gigabytes = weights * BATCH_SIZE * 4 / 1e9
        if gigabytes > MAX_GIGABYTES:
            raise MemoryError(f"gradients of each sample would take {gigabytes:.1f} GB")
        for layer in pl_module.modules():
            if list(layer.parameters(recurse=False)):
                self._extend(layer)
        mean = self._extend(torch.nn.CrossEntropyLoss())
        single = torch.nn.CrossEntropyLoss(reduction="none")

        def loss(logits: Tensor, targets: Tensor) -> Tensor:
            with torch.no_grad():
                self._individual = single(logits, targets)
            return mean(logits, targets)

        pl_module.loss = loss
        self._cockpit = self._make(list(pl_module.parameters()))

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Says what this step's backward pass is to compute."""
        information = {
            "batch_size": len(self._individual),
            "individual_losses": self._individual,
            "loss": loss,
            "optimizer": trainer.optimizers[0],
        }
        # Its own count, since it misses a quantity's beginning where steps are left out.
        self._context = self._cockpit(self._steps, info=information)
        self._context.__enter__()
        self._steps += 1

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the quantities."""
        self._context.__exit__(None, None, None)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the network its own loss back."""
        vars(pl_module).pop("loss", None)


OTHERS = {
    "tutorials' .item() per parameter": TutorialGradients,
    "TensorBoard add_histogram": GradientHistograms,
    "wandb.watch log_freq=1": lambda: WandbWatch(1),
    "wandb.watch log_freq=10": lambda: WandbWatch(10),
    "wandb.watch log_freq=100": lambda: WandbWatch(100),
    "Cockpit economy": CockpitEconomy,
}
"""What watches gradients, by the name in the table."""
BLOCKS = {"wandb.watch log_freq=10": 10, "wandb.watch log_freq=100": 100}
"""Steps that a block must have, or be a multiple of, for those that don't do the same at every step."""
