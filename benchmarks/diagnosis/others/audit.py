"""torch-audit, a linter that looks on while a network is trained: `pip install torch-audit`."""

from typing import Any, ClassVar

import pytorch_lightning as pl

from benchmarks.diagnosis.others.watcher import DIVERGES, FADES, OVERFLOWS, STANDS_STILL, Report, Watcher

SPEED = ("TA200", "TA201", "TA202", "TA203")
"""Its rules on speed, of which most runs have a report, but which are about the machine."""

EVERY = 10
"""Steps between two audits; by default there are 1000, more than a run of the benchmark has."""


class TorchAudit(Watcher):
    """Patches module and optimizer as its quick start does; what it calls information only is left out."""

    name: ClassVar[str] = "torch-audit"
    package: ClassVar[str] = "torch-audit"
    module: ClassVar[str] = "torch_audit"
    meaning: ClassVar[dict[str, tuple[str, ...]]] = {
        "TA100 NaN or Inf": OVERFLOWS,
        "TA102 gradient explosion": DIVERGES,
        "TA104 no gradients": ("layer_not_trained", "loss_does_not_fall"),
        "TA105 activation collapse": ("dead_units", "bottleneck", "learning_rate_too_high", *FADES),
        "TA301 range of inputs": ("inputs_not_normalized", "preprocessing_differs"),
        "TA302 flat inputs": ("inputs_not_normalized", "loss_does_not_fall", "augmentation_destroys_labels"),
        "TA303 layout of inputs": ("preprocessing_differs",),
        "TA304 tiny batch": ("batch_norm_of_one",),
        "TA305 invalid integers": (),
        "TA400 redundant bias": (),
        "TA401 Adam with weight decay": ("weight_decay_too_strong",),
        "TA402 weight decay of norms and biases": ("weight_decay_too_strong",),
        "TA403 weight decay of embeddings": ("weight_decay_too_strong",),
        "TA404 even kernel size": (),
        "TA405 dead filters": ("dead_units", "bad_initialization", "weight_decay_too_strong"),
        "TA500 layer never called": STANDS_STILL,
        "TA501 layer called twice": ("normalization_statistics",),
    }

    def __init__(self) -> None:
        super().__init__()
        self.auditor: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Patches."""
        from torch_audit import autopatch

        self.auditor = autopatch(
            pl_module, optimizer=trainer.optimizers[0], every_n_steps=EVERY, ignore_rules=set(SPEED)
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Undoes it."""
        self.auditor.unpatch()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Undoes it, too."""
        if self.auditor is not None:
            self.auditor.unpatch()

    def reports(self) -> list[Report]:
        """The rules of its findings."""
        names = {name.split()[0]: name for name in self.meaning}
        told: dict[str, int] = {}
        for finding in self.auditor.findings if self.auditor is not None else []:
            if finding.severity.value != "INFO":
                told.setdefault(names.get(finding.rule_id, finding.rule_id), finding.step or 0)
        return [Report(*item) for item in told.items()]
