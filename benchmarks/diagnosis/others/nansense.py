"""NaNsense, a debugger that stops a training where numbers are unsound: `pip install nansense`."""

import time
from threading import Thread
from typing import Any, ClassVar

import pytorch_lightning as pl

from benchmarks.diagnosis.others.watcher import FADES, OVERFLOWS, Watcher

EVERY = 10
"""Steps between two checks; by default there are 100, but the runs are short."""


class NaNsense(Watcher):
    """Lets its checks of numbers look on; its pages, which are for people to look at, give no verdict."""

    name: ClassVar[str] = "NaNsense"
    package: ClassVar[str] = "nansense"
    module: ClassVar[str] = "nansense"
    meaning: ClassVar[dict[str, tuple[str, ...]]] = {
        "nan": OVERFLOWS,
        "inf": OVERFLOWS,
        "overflow": OVERFLOWS,
        "underflow": FADES,
    }

    def __init__(self) -> None:
        super().__init__()
        self.session: Any = None
        self.batch: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts a session without a page, of the network if the module has just one part."""
        import nansense

        parts = list(pl_module.children())
        self.session = nansense.start(parts[0] if len(parts) == 1 else pl_module, optimizer=trainer.optimizers[0])
        self.session.set_debug_settings(interval=EVERY)
        self.session.detach()
        Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while not self.session.closed:
            if self.session.debug_error is not None:
                self.session.detach()  # it has stopped the training
            time.sleep(0.05)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begins a batch."""
        self.batch = self.session.batch(phase="train", epoch=trainer.current_epoch)
        self.batch.__enter__()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends it, with which it is checked."""
        self.batch.__exit__(None, None, None)
        self.batch = None
        if self.session.debug_error is not None:
            for reason in self.session.debug_error.reasons:
                self.say(trainer, reason)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the session."""
        self.session.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Ends it, too."""
        if self.batch is not None:
            self.batch.__exit__(type(exception), exception, exception.__traceback__)
        if self.session is not None:
            self.session.close()
