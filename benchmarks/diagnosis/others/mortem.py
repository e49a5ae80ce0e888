"""torchmortem, a post-mortem of a training: `pip install torchmortem`."""

from typing import Any, ClassVar

import pytorch_lightning as pl

from benchmarks.diagnosis.others.watcher import DIVERGES, FADES, STANDS_STILL, Report, Watcher


class TorchMortem(Watcher):
    """Asks it at the end of the run; what it calls information only is left out."""

    name: ClassVar[str] = "torchmortem"
    package: ClassVar[str] = "torchmortem"
    module: ClassVar[str] = "torchmortem"
    meaning: ClassVar[dict[str, tuple[str, ...]]] = {
        "Vanishing gradients detected": FADES,
        "Exploding gradients detected": DIVERGES,
        "Gradient stalling": (*FADES, "no_nonlinearity", "bottleneck"),
        "Dead units": ("dead_units", "learning_rate_too_high", "bottleneck", *FADES),
        "Activation saturation": (
            "saturated_activations",
            "inputs_not_normalized",
            "bad_initialization",
            "bottleneck",
        ),
        "Update ratio too low": STANDS_STILL,
        "Update ratio too high": (*DIVERGES, "weight_decay_too_strong"),
        "Training divergence detected": DIVERGES,
        "Loss plateau detected": STANDS_STILL,
        "High gradient noise (low SNR)": ("labels_do_not_fit", "augmentation_destroys_labels", "batch_norm_of_one"),
        "Rank collapse": ("bottleneck", "dead_units", "underfitting", "weight_decay_too_strong", "bad_initialization"),
        "Weight norm explosion": DIVERGES,
        "Stagnant weight norms": STANDS_STILL,
        "Inter-layer weight norm imbalance": ("bad_initialization", "layer_not_trained", "weight_decay_too_strong"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.autopsy: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches it."""
        from torchmortem import Autopsy

        self.autopsy = Autopsy(pl_module, optimizer=trainer.optimizers[0])
        self.autopsy.attach()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tells it the loss."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        self.autopsy.step(**({} if loss is None else {"loss": float(loss)}))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Asks it."""
        self.autopsy.detach()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Asks it, too."""
        if self.autopsy is not None:
            self.autopsy.detach(is_complete=False)

    def reports(self) -> list[Report]:
        """The titles of its findings, without the layers."""
        report = self.autopsy.get_report() if self.autopsy is not None else None
        if report is None:
            return []
        told = {
            finding.title.split(" in ")[0]: report.metadata.total_steps
            for finding in report.findings
            if finding.severity.name in ("WARNING", "CRITICAL")
        }
        return [Report(*item) for item in told.items()]
