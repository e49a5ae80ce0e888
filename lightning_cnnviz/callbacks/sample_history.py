"""The life of every sample: margin, when learned, how often forgotten, and whose label is probably wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import fsspec
import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.listening import ListeningCallback
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.colours import Colours, Normalization, check_bands
from lightning_cnnviz.data.datasets import find_class_names, find_normalization, first_loader
from lightning_cnnviz.data.sample_numbers import (
    SampleNumbers,
    UnknownSamplesError,
    numbers_in_source,
    repeated_batches,
    sample_count,
)
from lightning_cnnviz.data.sampler_listener import SamplerListener
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.errors import ClassNames, class_names_list, whole_number
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.sample_history.data_map import data_map, shown_points
from lightning_cnnviz.functional.sample_history.dynamics import Order, SampleDynamics, rank_samples
from lightning_cnnviz.functional.sample_history.sample_sheet import IN_WORDS, history_sheet
from lightning_cnnviz.functional.sample_history.table import history_csv, history_markdown
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.layers import scores_layer
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.output.writer import Computation, Drawing, Results, Run
from lightning_cnnviz.statistics.sample_follower import ORDERS, SampleFollower

NO_SCORES = (
    "no class scores of shape (samples, classes) and class indices were heard; if a layer outputs the scores, name it "
    'with layers="..."'
)


class SampleHistory(ListeningCallback):
    """Follows every sample of training and validation: images `sample_history/<split>/…` and a CSV in the run's folder.

    For each sample, over the passes in which it was seen: the area under its margin (mean of the logit of its class
    minus the largest of the others), confidence and variability (mean and standard deviation of the probability of its
    class), the epoch in which it was first learned, and how often it was forgotten. `map` shows all samples by
    confidence and variability; `mislabelled`, `forgotten` and `hardest` those that stand out. `<tag>.csv` in the
    folder of the run has all of it, one line a sample.

    No pass of its own: everything is computed from the scores of the module's own training and validation steps. Those
    of the training are of the weights of each step, with dropout and augmentation. Which samples a batch holds is heard
    from the sampler; of a stream it is not known, and one line says so. Only the first dataloader of each split is
    followed. With several processes, the numbers are of all ranks; images are those of rank 0.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw as the first pass ends after every n-th optimizer step instead.
        layers: The layer that outputs the class scores, shape (samples, classes). Default: the module itself.
        tag: Prefix of the tags, and name of the CSV.
        on_error: `"warn"` or `"raise"`.
        num_samples: Number of samples on each sheet.
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
        >>> SampleHistory(every_n_epochs=5, num_samples=30).num_samples
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
        num_samples: int = 20,
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
        self.num_samples = whole_number(num_samples, "num_samples", at_least=1)
        self.class_names = None if class_names is None else class_names_list(class_names)
        self.inputs = inputs
        self.targets = targets
        self.task = check_task(task)
        self.normalization = Normalization.given(mean, std)
        self.bands = None if bands is None else check_bands(bands)
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
        self._told = set()
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

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to listen to the training's sampler, of which several of this callback hear the same."""
        super().on_fit_start(trainer, pl_module)
        if self.writer is not None:
            self._sampler = self.writer.claim("sampler", SamplerListener())
            self._sampler.watch(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends listening to further iterators of the training's dataloader."""
        self._sampler.detach()
        super().on_train_start(trainer, pl_module)

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
                size = self._size("train", trainer.train_dataloader)
                if size is not None:
                    self._begin("train", size, self._sampler.numbers())
        if train.open or self.verdict_is_open:
            with self.guard():
                self._listener.start(pl_module, batch, self.selected[0] if self.selected else None)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the scores of the batch, and ends the pass with the last one."""
        train = self._followers["train"]
        if self.writer is None or not (train.open or self.verdict_is_open):
            return
        with self.guard():
            captured = self.heard()
            if train.open and captured is not None:
                self._add("train", batch_idx, captured)
        if trainer.is_last_batch:
            self._end_pass("train", trainer)
            self._sampler.forget()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to follow the samples of a validation."""
        if self.writer is not None and not trainer.sanity_checking:
            with self.guard():
                size = self._size("val", trainer.val_dataloaders)
                if size is not None:
                    batches = repeated_batches(first_loader(trainer.val_dataloaders))
                    self._begin("val", size, SampleNumbers(batches))

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
                    self._add("val", batch_idx, captured)

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
        self._followers = {split: SampleFollower(self.num_samples) for split in ("train", "val")}
        self._told: set[str] = set()
        self._warned = self._begun = False  # whether the epoch's pass has begun
        self._step = 0

    @property
    def verdict_is_open(self) -> bool:
        """Whether the loss has yet to tell what it compares."""
        return self._listener.evidence.verdict is None

    def _size(self, split: str, loaders: Any) -> int | None:
        """Number of samples to follow; None, which is said once, if it is not known which samples batches hold."""
        if split in self._told or self.verdict.reason or loaders is None:
            return None
        try:
            size = sample_count(first_loader(loaders) or loaders)
            if split == "val":
                repeated_batches(first_loader(loaders))
        except UnknownSamplesError as error:
            self._say(split, str(error))
            return None
        return size

    def _say(self, split: str, reason: str) -> None:
        if split not in self._told:
            self._told.add(split)
            rank_zero_info(f"SampleHistory: samples of split {split!r} are not followed: {reason}")

    def _begin(self, split: str, size: int, numbers: SampleNumbers) -> None:
        try:
            self._followers[split].begin(size, numbers)
        except ValueError as error:
            self._say(split, f"{error}; a run that goes on with other data begins anew in a folder of its own")

    def _add(self, split: str, batch_idx: int, captured: Any) -> None:
        if not self._followers[split].add(batch_idx, captured):
            self._say(
                split,
                f"batch {batch_idx} has {len(captured.targets)} samples, which are not those that the sampler chose",
            )
            self._followers[split].drop()

    def _end_pass(self, split: str, trainer: Trainer) -> None:
        """Ends a pass, on every rank."""
        follower = self._followers[split]
        if self.writer is None or not follower.open:
            return
        with self.guard():
            try:
                follower.end(self.epoch(trainer), trainer.strategy if trainer.world_size > 1 else None)
                self._step = logged_step(trainer)
            except ValueError as error:
                self._say(split, str(error))

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        if not any(follower.reading for follower in self._followers.values()):
            if not self._warned and self.task != "none" and len(self._told) < len(self._followers):
                self._warned = True
                rank_zero_warn(f"SampleHistory follows no samples: {self.verdict.reason or NO_SCORES}")
            return
        if self.writer is None or not self.writer.takes_pictures:
            return
        for split, known in self._known().items():
            weights = "averaged" if split == "val" else "training"
            count, passes = int(known.seen.sum()), int(known.passes.max())
            note = f"{count} samples in {passes} passes" if passes > 1 else f"{count} samples in one pass"
            points = shown_points(known)
            draw = partial(data_map, points, title=self.title(f"data map · {split}", trainer, weights))
            shown = "" if len(points.targets) == count else f", of which {len(points.targets)} are drawn"
            yield f"{self.tag}/{split}/map", partial(draw, note=note + shown)
            names, thumbnails = self._names(split, trainer, module), self._followers[split].thumbnails
            for order in ORDERS:
                numbers = rank_samples(known, order, self.num_samples)
                images, colour_note = self._images(trainer, split, thumbnails.images(numbers))
                title = self.title(f"{order} · {split}", trainer, weights)
                draw = partial(history_sheet, images, numbers, known.take(numbers), names, title=title)
                words = _words(known, order, len(numbers))
                yield f"{self.tag}/{split}/{order}", partial(draw, note=" · ".join(filter(None, (words, colour_note))))

    @override
    def computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        folder = getattr(trainer.logger, "log_dir", None)
        known = self._known()
        if not known or folder is None or self.writer is None or not self.writer.writes:
            return None
        splits = {}
        for split, found in known.items():
            loader = first_loader(trainer.train_dataloader if split == "train" else trainer.val_dataloaders)
            own = np.arange(len(found.targets))
            splits[split] = found, own if loader is None else numbers_in_source(loader.dataset, own)
        return partial(_save, f"{folder}/{file_name(self.tag)}.csv", splits)

    @override
    def scalars(self) -> Mapping[str, float]:
        found = {}
        for split, known in self._known().items():
            seen = known.take(np.flatnonzero(known.seen))
            found[f"{self.tag}/{split}/never_learned"] = float((seen.first_learned == 0).mean())
            found[f"{self.tag}/{split}/forgotten"] = float((seen.forgotten > 0).mean())
            found[f"{self.tag}/{split}/margin_below_zero"] = float((seen.area_under_margin < 0).mean())
        return found

    def _known(self) -> dict[str, SampleDynamics]:
        """What is known of the samples of each split that is followed."""
        dynamics = {split: follower.dynamics for split, follower in self._followers.items()}
        return {split: running.dynamics() for split, running in dynamics.items() if running is not None}

    def _images(self, trainer: Trainer, split: str, images: dict[int, Tensor]) -> tuple[dict[int, Tensor], str]:
        if not images:
            return {}, ""
        first = next(iter(images.values()))
        images = {number: image for number, image in images.items() if image.shape == first.shape}
        stacked = torch.stack(list(images.values()))
        loader = first_loader(trainer.train_dataloader if split == "train" else trainer.val_dataloaders)
        found = find_normalization(None if loader is None else loader.dataset)
        colours = Colours.of(stacked, self.normalization or found, self.bands)
        return dict(zip(images, colours.images(stacked), strict=True)), colours.note

    def _names(self, split: str, trainer: Trainer, module: LightningModule) -> list[str]:
        reading = self._followers[split].reading
        classes = 0 if reading is None else reading.classes
        names = self.class_names
        if names is None:
            loader = first_loader(trainer.train_dataloader if split == "train" else trainer.val_dataloaders)
            dataset = None if loader is None else loader.dataset
            names = find_class_names(dataset, getattr(trainer, "datamodule", None), module)
        if names is None or len(names) != classes:
            return [str(number) for number in range(classes)]
        times = Counter(names)
        return [name if times[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]

    def _end(self, trainer: Trainer) -> None:
        try:
            self._sampler.detach()
        finally:
            super()._end(trainer)


def _words(known: SampleDynamics, order: Order, shown: int) -> str:
    if not shown:
        return "none"
    counts = {
        "mislabelled": known.area_under_margin < 0,
        "forgotten": known.forgotten > 0,
        "hardest": known.first_learned > 0,
    }
    return f"the first {shown} of {int(counts[order].sum())} {IN_WORDS[order]}"


def _save(path: str, splits: Mapping[str, Any], run: Run) -> Results:
    """Writes the CSV, of which a reader never sees a part; on the thread for computations."""
    text: str = run(partial(history_csv, splits))
    files, place = fsspec.core.url_to_fs(path)
    files.makedirs(place.rpartition("/")[0], exist_ok=True)
    with files.open(f"{place}.part", "w") as file:
        file.write(text)
    files.mv(f"{place}.part", place)
    return [], {}
