"""What Lightning itself says: of values that are not finite."""

from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from benchmarks.diagnosis.others.watcher import OVERFLOWS, Watcher


class DetectAnomaly(Watcher):
    """Keeps the error with which `Trainer(detect_anomaly=True)` ends a run, which is trained again for the others."""

    name: ClassVar[str] = "Lightning, `detect_anomaly`"
    meaning: ClassVar[dict[str, tuple[str, ...]]] = {"NaN in backward": OVERFLOWS}

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keeps the error, if it is anomaly detection's."""
        if "returned nan values" in str(exception):
            self.say(trainer, "NaN in backward")


class CheckFinite(Watcher):
    """Keeps when `EarlyStopping(check_finite=True)` would end a run, as its loss is not finite, but lets it go on."""

    name: ClassVar[str] = "Lightning, `EarlyStopping(check_finite=True)`"
    meaning: ClassVar[dict[str, tuple[str, ...]]] = {"metric is not finite": OVERFLOWS}

    def __init__(self) -> None:
        super().__init__()
        self.stopping = EarlyStopping("train_loss", patience=10**9, strict=False, check_on_train_epoch_end=True)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Hands on."""
        self.stopping.setup(trainer, pl_module, stage)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        """Lets it judge the epoch's loss."""
        asked = trainer.should_stop
        self.stopping.on_train_epoch_end(trainer, pl_module)
        if trainer.should_stop and not asked:
            self.say(trainer, "metric is not finite")
            trainer.should_stop = False
