"""The run as one HTML file, written as training ends."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from lightning_cnnviz.callbacks.guarded import GuardedCallback
from lightning_cnnviz.errors import names_list
from lightning_cnnviz.output.run_file import RunFile
from lightning_cnnviz.output.writer import Writer
from lightning_cnnviz.report.write import MAX_MB, NAME, write_file


class RunReport(GuardedCallback):
    """Writes the run as one HTML file when training ends, also by an exception or Ctrl-C.

    The file, `report.html` in the folder of the run, has the page of the CNN Viz tab with all that the other callbacks
    have recorded, and opens without TensorBoard or a network. It is written in the helper process once everything is
    in the event file, wherever this callback stands among the others. A training that is resumed into the same folder
    writes it anew. Weights & Biases and MLflow, where the trainer logs to them as well, keep it as an artifact.

    Args:
        max_mb: Maximum size in megabytes (10⁶ bytes), above 0. Beyond it, steps of the pictures are left out evenly
            over time, never the first and the last one.
        layers: Names or globs of the layers whose pictures are kept, e.g. `["conv1", "features.*"]`; None for all.

    Raises:
        TypeError: If `layers` is no name or list of names.
        ValueError: If `max_mb` is not above 0.

    Example:
        >>> from lightning_cnnviz import cnnviz_callbacks
        >>> type(cnnviz_callbacks(report=True)[-1]).__name__
        'RunReport'
    """

    def __init__(self, *, max_mb: float = MAX_MB, layers: str | Sequence[str] | None = None) -> None:
        super().__init__()
        if not max_mb > 0:
            raise ValueError(f"expected max_mb to be above 0, got {max_mb}")
        self.max_mb = float(max_mb)
        self.layers = None if layers is None else names_list(layers, "layers")
        self.writer: Writer | None = None
        """Writes to the loggers; None outside a run and in a run without loggers."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens the writer; says if there will be no file."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if trainer.loggers:
            self.writer = Writer.open(trainer)
            self.account = self.writer.ledger.open(type(self).__name__)
            self.account.task = f"write {NAME}"
        if trainer.is_global_zero and not (self.writer is not None and self.writer.folder):
            rank_zero_warn(
                f"RunReport: no {NAME} will be written, since the Trainer has no logger with an event file; "
                "use Trainer(logger=TensorBoardLogger(...)), perhaps beside others"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Orders the file from the writer, which has it made at the end."""
        if self.writer is not None and self.writer.folder:
            make = partial(write_file, max_mb=self.max_mb, layers=self.layers or [])
            self.writer.file_at_end(RunFile(NAME, make, self.account))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Ends the use of the writer; after an ordinary exception Lightning skips `teardown`."""
        self._end(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ends the use of the writer."""
        self._end(trainer)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "writer": None}

    # ---- internals

    def _end(self, trainer: Trainer) -> None:
        if self.writer is not None:
            writer, self.writer = self.writer, None
            writer.close(trainer)
            self.account.report()
