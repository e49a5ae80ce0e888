"""The life of every sample: margin, when learned, how often forgotten, and whose label is probably wrong."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import fsspec
import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.listening import ListeningCallback
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.colours import Colours, Normalization, check_bands
from lightning_cnnviz.data.datasets import distinct_names, find_class_names, find_normalization, first_loader
from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.data.sample_numbers import numbers_in_source
from lightning_cnnviz.data.sampler_listener import SamplerListener
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.errors import ClassNames, class_names_list, whole_number
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.sample_history.data_map import data_map, map_note, shown_points
from lightning_cnnviz.functional.sample_history.dynamics import Integers, SampleDynamics, rank_samples
from lightning_cnnviz.functional.sample_history.sample_sheet import history_sheet, ranking_note
from lightning_cnnviz.functional.sample_history.tab_data import MAX_SAMPLES, history_tab_data
from lightning_cnnviz.functional.sample_history.table import history_csv, history_markdown
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.layers import scores_layer
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.output.writer import Computation, Drawing, Results, Run
from lightning_cnnviz.statistics.sample_follower import ORDERS, SampleFollower


class SampleHistory(ListeningCallback):
    """Follows every sample of training and validation: images `sample_history/<split>/…` and a CSV file.

    For each sample, over the passes in which it was seen: the area under its margin (mean of the logit of its class
    minus the largest of the others), confidence and variability (mean and standard deviation of the probability of its
    class), the epoch in which it was first learned, and how often it was forgotten. `map` shows all samples by
    confidence and variability; `mislabelled`, `forgotten` and `hardest` those that stand out. `<tag>.csv` in the
    folder of the run has all of it, one line a sample.

    No pass of its own: everything is computed from the scores of the module's own training and validation steps. Those
    of the training are of the weights of each step, with dropout and augmentation. Which samples a batch holds is told
    by the sampler; of a stream it is not known, and one line says so. A split whose samples turn out to be mixed up is
    forgotten, in one line as well. Of several validation dataloaders the first is followed. With several processes,
    the numbers are of all ranks; images are those of rank 0.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw as the first pass ends after every n-th optimizer step instead.
        layers: The layer that outputs the class scores, shape (samples, classes). Default: the module itself.
        tag: Prefix of the tags, and name of the CSV.
        on_error: `"warn"` or `"raise"`.
        max_shown: Number of samples on each sheet.
        class_names: Names by class index. Default: those of the dataset, the data module or the model; see
            `ClassReport`.
        inputs: Index, key or attribute of the inputs in a batch. Default: detected, see
            `lightning_cnnviz.data.batch.split_batch`.
        targets: Index, key or attribute of the class indices in a batch. Default: detected.
        task: What the class scores are; see `ClassReport`.
        mean: Mean of each channel by which the images were normalised; see `Probe`.
        std: Standard deviation of each channel, likewise.
        bands: Channels to show; see `Probe`.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` does not match exactly one layer.

    Example:
        >>> SampleHistory(every_n_epochs=5, max_shown=30).max_shown
        30
    """

    guide = Guide("Images", "sample_history/…", "which samples are hard, forgotten or have a wrong label")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "sample_history",
        on_error: OnError = "warn",
        max_shown: int = 20,
        class_names: ClassNames | None = None,
        inputs: Key | None = None,
        targets: Key | None = None,
        task: Task | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bands: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        self.max_shown = whole_number(max_shown, "max_shown", at_least=1)
        self.class_names = None if class_names is None else class_names_list(class_names)
        self.inputs = inputs
        self.targets = targets
        self.task = check_task(task)
        self.normalization = Normalization.given(mean, std)
        self.bands = None if bands is None else check_bands(bands)
        self._sampler = SamplerListener()
        self._followers: dict[str, SampleFollower] = {}
        self._tables: dict[str, str] = {}  # split → samples whose label is probably wrong
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

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        known, self._tables = self._known(), {}
        if not known:
            untold = [one.untold for one in self._followers.values() if one.untold and not one.refused]
            reason = self.verdict.reason or next(iter(untold), "")
            if reason and not self._warned and self.task != "none":
                self._warned = True
                rank_zero_warn(f"SampleHistory follows no samples: {reason}")
            return
        if self.writer is None or not self.writer.takes_pictures:
            return
        for split, dynamics in known.items():
            title = partial(self.title, trainer=trainer, weights="averaged" if split == "val" else "training")
            points, note = shown_points(dynamics), map_note(dynamics)
            yield f"{self.tag}/{split}/map", partial(data_map, points, title=title(f"data map · {split}"), note=note)
            names = self._names(split, trainer, module)
            for order in ORDERS:
                numbers = rank_samples(dynamics, order, self.max_shown)
                if order == "mislabelled":
                    self._tables[split] = history_markdown(numbers, dynamics.take(numbers), names)
                    if (last := self._followers[split].last) is not None and len(last.seen) <= MAX_SAMPLES:
                        record = partial(history_tab_data, split, last, dynamics, names, numbers)
                        yield f"cnnviz/sample_history/{split}", record
                images, colours = self._images(split, numbers, trainer)
                note = " · ".join(filter(None, (ranking_note(dynamics, order, len(numbers)), colours)))
                draw = partial(history_sheet, images, numbers, dynamics.take(numbers), names, note=note)
                yield f"{self.tag}/{split}/{order}", partial(draw, title=title(f"{order} · {split}"))

    @override
    def computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        folder, splits = getattr(trainer.logger, "log_dir", None), {}
        if folder is None or self.writer is None or not self.writer.writes:
            return None
        for split, dynamics in self._known().items():
            own = np.arange(len(dynamics.targets))
            loader = self._loader(split, trainer)
            splits[split] = dynamics, own if loader is None else numbers_in_source(loader.dataset, own)
        withdrawn = any(follower.withdrawn for follower in self._followers.values())  # whose lines are in the file
        return partial(_save, f"{folder}/{file_name(self.tag)}.csv", splits) if splits or withdrawn else None

    @override
    def scalars(self) -> Mapping[str, float]:
        found = {}
        for split, dynamics in self._known().items():
            seen = dynamics.take(np.flatnonzero(dynamics.seen))
            found[f"{self.tag}/{split}/never_learned"] = float((seen.first_learned == 0).mean())
            found[f"{self.tag}/{split}/forgotten"] = float((seen.forgotten > 0).mean())
            found[f"{self.tag}/{split}/margin_below_zero"] = float((seen.area_under_margin < 0).mean())
        return found

    @override
    def texts(self) -> Mapping[str, str]:
        return {f"{self.tag}/{split}/mislabelled_table": text for split, text in self._tables.items()}

    def _known(self) -> dict[str, SampleDynamics]:
        """What the passes have told of the samples of each split."""
        known = {split: follower.known() for split, follower in self._followers.items()}
        return {split: dynamics for split, dynamics in known.items() if dynamics is not None}

    def _loader(self, split: str, trainer: Trainer) -> DataLoader[Any] | None:
        return first_loader(trainer.train_dataloader if split == "train" else trainer.val_dataloaders)

    def _images(self, split: str, numbers: Integers, trainer: Trainer) -> tuple[dict[int, Tensor], str]:
        """Images of samples, as far as any were kept, and what a reader has to know of their colours."""
        images = self._followers[split].thumbnails.images(numbers.tolist())
        if not images:
            return {}, ""
        loader = self._loader(split, trainer)
        found = find_normalization(None if loader is None else loader.dataset)
        stacked = torch.stack(list(images.values()))
        if ImageAxes.of(trainer.lightning_module).are_last(stacked) is None:
            return {}, ""
        colours = Colours.of(stacked, self.normalization or found, self.bands)
        return dict(zip(images, colours.images(stacked), strict=True)), colours.note

    def _names(self, split: str, trainer: Trainer, module: LightningModule) -> list[str]:
        names, loader = self.class_names, self._loader(split, trainer)
        if names is None:
            dataset = None if loader is None else loader.dataset
            names = find_class_names(dataset, getattr(trainer, "datamodule", None), module)
        return distinct_names(names, self._followers[split].classes)

    def _end(self, trainer: Trainer) -> None:
        try:
            self._sampler.detach()
        finally:
            super()._end(trainer)


def _save(path: str, splits: Mapping[str, Any], run: Run) -> Results:
    """Writes the CSV, of which a reader never sees a part; on the thread for computations."""
    text: str = run(partial(history_csv, splits))
    files, place = fsspec.core.url_to_fs(path)
    files.makedirs(place.rpartition("/")[0], exist_ok=True)
    with files.open(f"{place}.part", "w") as file:
        file.write(text)
    files.mv(f"{place}.part", place)
    return [], {}
