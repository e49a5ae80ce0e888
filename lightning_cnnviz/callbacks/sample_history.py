"""The life of every sample: margin, when learned, how often forgotten, and whose label is probably wrong."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.following import FollowingCallback
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.colours import Normalization, check_bands
from lightning_cnnviz.data.datasets import first_loader
from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.data.presentation import Presentation
from lightning_cnnviz.data.sample_numbers import numbers_in_source
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.errors import ClassNames, class_names_list, whole_number
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.sample_history.data_map import data_map, map_note, shown_points
from lightning_cnnviz.functional.sample_history.dynamics import Integers, rank_samples
from lightning_cnnviz.functional.sample_history.sample_sheet import history_sheet, ranking_note
from lightning_cnnviz.functional.sample_history.tab_data import MAX_SAMPLES, history_tab_data
from lightning_cnnviz.functional.sample_history.table import history_csv, history_markdown
from lightning_cnnviz.output.text_file import write_text
from lightning_cnnviz.output.writer import Computation, Drawing, Results, Run
from lightning_cnnviz.statistics.sample_follower import ORDERS


class SampleHistory(FollowingCallback):
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
            max_shown=whole_number(max_shown, "max_shown", at_least=1),
            inputs=inputs,
            targets=targets,
            task=check_task(task),
        )
        self.class_names = None if class_names is None else class_names_list(class_names)
        self.normalization = Normalization.given(mean, std)
        self.bands = None if bands is None else check_bands(bands)
        self._tables: dict[str, str] = {}  # split → samples whose label is probably wrong

    # ---- what is drawn

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

    @property
    def _presentation(self) -> Presentation:
        return Presentation(self.class_names, self.normalization, self.bands)

    def _loader(self, split: str, trainer: Trainer) -> DataLoader[Any] | None:
        return first_loader(trainer.train_dataloader if split == "train" else trainer.val_dataloaders)

    def _images(self, split: str, numbers: Integers, trainer: Trainer) -> tuple[dict[int, Tensor], str]:
        """Images of samples, as far as any were kept, and what a reader has to know of their colours."""
        images = self._followers[split].thumbnails.images(numbers.tolist())
        if not images:
            return {}, ""
        stacked = torch.stack(list(images.values()))
        if ImageAxes.of(trainer.lightning_module).are_last(stacked) is None:
            return {}, ""
        colours = self._presentation.colours(stacked, self._loader(split, trainer))
        return dict(zip(images, colours.images(stacked), strict=True)), colours.note

    def _names(self, split: str, trainer: Trainer, module: LightningModule) -> list[str]:
        owners = getattr(trainer, "datamodule", None), module
        return self._presentation.names(self._followers[split].classes, self._loader(split, trainer), *owners)


def _save(path: str, splits: Mapping[str, Any], run: Run) -> Results:
    """Writes the CSV, of which a reader never sees a part; on the thread for computations."""
    text: str = run(partial(history_csv, splits))
    write_text(path, text)
    return [], {}
