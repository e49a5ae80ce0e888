"""The base class of callbacks that follow every sample of training and validation through a run."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from typing_extensions import override

from lightning_cnnviz.callbacks.listening import ListeningCallback
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.datasets import first_loader
from lightning_cnnviz.data.sampler_listener import SamplerListener
from lightning_cnnviz.data.scores import Task
from lightning_cnnviz.functional.sample_history.dynamics import SampleDynamics
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.layers import scores_layer
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.statistics.sample_follower import SampleFollower


class FollowingCallback(ListeningCallback):
    """Follows every sample from pass to pass, by the scores of the module's own steps.

    What is known of the samples of a split is in `_known`, their images in `_followers[split].thumbnails`.

    Args:
        max_shown: Number of samples that each ranking shows.
        inputs: Index, key or attribute of the inputs in a batch, if the user named it.
        targets: Index, key or attribute of the class indices in a batch, if the user named it.
        task: What the user has said of the scores.
        options: As in `VisualCallback`.
    """

    def __init__(
        self, *, max_shown: int, inputs: Key | None, targets: Key | None, task: Task | None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.max_shown = max_shown
        self.inputs = inputs
        self.targets = targets
        self.task = task
        self._sampler = SamplerListener()
        self._followers: dict[str, SampleFollower] = {}
        self._step = 0  # of the last pass
        self._reset()

    def state_dict(self) -> dict[str, Any]:
        """Returns what the passes so far have told."""
        passes = {split: follower.state_dict() for split, follower in self._followers.items()}
        return {"step": self._step, "passes": passes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what the passes have told from a checkpoint."""
        self._reset()
        self._step = state_dict["step"]
        for split, state in state_dict["passes"].items():
            self._followers[split].load_state_dict(state)

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        return scores_layer(module, self.layers)

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        if not 0 < self._step <= logged_step(trainer):  # of another run
            self._reset()
        self._warned = self._begun = False
        self.listen(self.inputs, self.targets, self.task, settled=bool(self.selected))

    @override
    def learned(self, verdict: Verdict) -> None:
        if verdict.classes_elsewhere:
            self._followers["train"].drop()
        if verdict.reason and self.task != "none":
            self._warned = True
            rank_zero_warn(f"SampleHistory follows no samples: {verdict.reason}")

    # ---- Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins to listen to the training's sampler, before a learning rate is looked for in `on_fit_start`."""
        if stage == "fit" and trainer.loggers and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._sampler = SamplerListener.watching(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens to the iterator of an epoch, which begins now but for the first one."""
        if self.writer is not None and (loader := first_loader(trainer.train_dataloader)) is not None:
            with self.guard():
                self._sampler.attach(loader)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts capturing the class scores."""
        if self.writer is None:
            return
        train = self._followers["train"]
        if not self._begun:
            self._begun = True
            with self.guard():
                self._sampler.detach()
                if not self.verdict.reason:
                    train.begin(trainer.train_dataloader, self._sampler.numbers(first=batch_idx))
        if train.open or self._is_unsettled:
            with self.guard():
                self._listener.start(pl_module, batch, self.selected[0] if self.selected else None)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the scores of the batch, and ends the pass with the last one."""
        train = self._followers["train"]
        if self.writer is None or not (train.open or self._is_unsettled):
            return
        with self.guard():
            captured = self.heard()
            if captured is not None:
                train.add(batch_idx, captured)
        if trainer.is_last_batch:
            self._end_pass("train", trainer)
            self._sampler.forget()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to follow the samples of a validation."""
        if self.writer is not None and not trainer.sanity_checking and not self.verdict.reason:
            with self.guard():
                self._followers["val"].begin(trainer.val_dataloaders)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Starts capturing the class scores."""
        if self._followers["val"].open and dataloader_idx == 0:
            with self.guard():
                self._listener.start(pl_module, batch, self.selected[0] if self.selected else None)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes the scores of the batch."""
        if self._followers["val"].open and dataloader_idx == 0:
            with self.guard():
                captured = self._listener.stop()
                if captured is not None:
                    self._followers["val"].add(batch_idx, captured)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the pass; draws if this is due, and the epoch does not end with it."""
        self._end_pass("val", trainer)
        by_step = self.schedule.step_due(self._last_step, logged_step(trainer), self.stretch)
        if by_step and not trainer.sanity_checking and not trainer.is_last_batch:
            self.draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this epoch is due."""
        self._end_pass("train", trainer)  # of an epoch that has ended early
        self._sampler.forget()
        self._begun = False
        if self.schedule.step_due(self._last_step, logged_step(trainer), self.stretch):
            self.draw(trainer, pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    # ---- internals

    def _reset(self) -> None:
        witnesses: list[Any] = []
        self._followers = {split: SampleFollower(split, self.max_shown, witnesses) for split in ("train", "val")}
        self._warned = self._begun = False  # whether the epoch's pass has begun
        self._step = 0

    @property
    def _is_unsettled(self) -> bool:
        """Whether the loss has yet to tell what it compares."""
        return self._listener.evidence.verdict is None

    def _end_pass(self, split: str, trainer: Trainer) -> None:
        """Ends a pass, on every rank."""
        follower = self._followers[split]
        if self.writer is None or not follower.open:
            return
        with self.guard():
            follower.end(self.epoch(trainer), trainer.strategy if trainer.world_size > 1 else None)
            self._step = logged_step(trainer)

    def _known(self) -> dict[str, SampleDynamics]:
        """What the passes have told of the samples of each split."""
        known = {split: follower.known() for split, follower in self._followers.items()}
        return {split: dynamics for split, dynamics in known.items() if dynamics is not None}

    def _end(self, trainer: Trainer) -> None:
        try:
            self._sampler.detach()
        finally:
            super()._end(trainer)
