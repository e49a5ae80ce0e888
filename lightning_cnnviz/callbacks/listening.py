"""The base class of callbacks that need to know what a batch's class indices and the model's class scores are."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_cnnviz.callbacks.base import VisualCallback
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.data.scores import Task
from lightning_cnnviz.model.loss_evidence import LossEvidence, Verdict
from lightning_cnnviz.model.score_listener import ScoredBatch, ScoreListener
from lightning_cnnviz.output.writer import Writer


def say_once(words: str, writer: Writer) -> None:
    """Says in one line what is taken for what, for all callbacks of a run."""
    mine = object()
    if words and writer.claim("what is taken for what", mine) is mine:
        rank_zero_info(words)


class ListeningCallback(VisualCallback):
    """Base class of callbacks that learn from the first training steps' loss what scores and class indices are.

    A subclass calls `listen` in `prepare`.

    Args:
        options: As in `VisualCallback`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.listen(None, None)

    def listen(self, inputs: Key | None, targets: Key | None, task: Task | None = None, settled: bool = False) -> None:
        """Starts over.

        Args:
            inputs: Index, key or attribute of the inputs in a batch, if the user named it.
            targets: Index, key or attribute of the class indices in a batch, if the user named it.
            task: What the user has said of the scores.
            settled: Whether the user has said what the scores are.
        """
        self._listener = ScoreListener(inputs, targets, LossEvidence(settled or targets is not None, task))

    @property
    def verdict(self) -> Verdict:
        """What the loss has told so far."""
        return self._listener.evidence.so_far

    def end_listening(self) -> None:
        """Ends the capture of a training step."""
        if self.writer is not None and self._listener.evidence.verdict is None:
            with self.guard():
                self.heard()

    def heard(self) -> ScoredBatch | None:
        """Ends the capture and returns the batch with its scores, if any; says what the loss has told, once it has."""
        unsettled = self._listener.evidence.verdict is None
        batch = self._listener.stop()
        verdict = self._listener.evidence.verdict
        if unsettled and verdict is not None:
            self.learned(verdict)
            if self.writer is not None:
                say_once(self._listener.words, self.writer)
        return batch

    def learned(self, verdict: Verdict) -> None:
        """Called once in a run, when the loss has told what the scores and class indices are."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts capturing the model's output, until the loss has told what it is."""
        if self.writer is not None and self._listener.evidence.verdict is None:
            with self.guard():
                self._listener.start(pl_module, batch)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Reads from the loss what it compares, until that is settled."""
        if self.writer is not None and self._listener.evidence.verdict is None:
            with self.guard():
                self._listener.evidence.read(loss)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the capture, and draws if due."""
        self.end_listening()
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _end(self, trainer: Trainer) -> None:
        try:
            self._listener.stop()  # a failed batch may have left it capturing
            ImageAxes.forget(trainer.lightning_module)
        finally:
            super()._end(trainer)
