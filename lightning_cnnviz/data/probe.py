"""The fixed samples that the visuals show."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.colours import Colours, Normalization, check_bands
from lightning_cnnviz.data.datasets import find_class_names, find_normalization, first_loader
from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.data.reading import find_test_loader, read_samples
from lightning_cnnviz.data.samples import BalancedReservoir, Row, Samples, balanced_order
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.errors import ClassNames, ConfigurationError, class_names_list, whole_number

MAX_PROBE_BYTES = 256 * 2**20
MAX_CLASS_INDEX = 100_000
"""Targets from this on are not taken for class indices."""

Split: TypeAlias = Literal["val", "train", "test"]
Pass: TypeAlias = Literal["sanity", "val", "train"]
"""What a batch of the run belongs to: the sanity check, a validation or an epoch of training."""


class Probe:
    """A fixed set of samples on which the model is shown, the same in every epoch.

    The samples are those of the run's own batches; no dataset is read and no dataloader is made for them. The first
    validation gives a random, class-balanced choice. A picture that is due before shows the batches of the sanity
    check or, if there is none, those of the training so far. Without validation, samples come from the training. The
    inputs and class indices in a batch and the class names are detected; each can be overridden.

    Only `indices` and `split="test"` are read from the dataset, in the training process, since no pass of the run
    gives them; random states are restored.

    Args:
        num_samples: Number of samples, at least 1. A smaller set is taken whole, and a set of more than 256 MiB is
            truncated; either is reported in one line.
        split: `"val"`, `"train"` or `"test"`.
        indices: Indices into the dataset, from 0: these samples in this order, regardless of `num_samples` and `seed`.
        inputs: Index, key or attribute of the inputs in a batch; see `lightning_cnnviz.data.batch.split_batch`.
            Default: what the model is called with.
        targets: Index, key or attribute of the class indices in a batch.
        scores: Name of the layer that outputs the class scores. Default: the model itself.
        task: What the scores are: `"multiclass"`, `"binary_logits"`, `"binary_probabilities"` or, if there are no
            classes, `"none"`. Default: what the training's loss tells.
        class_names: Names by class index. Default: `class_names` or `classes` of the dataset, the data module or
            the model.
        mean: Mean of each channel by which the images were normalised, to show them in their own colours. Default:
            found in the `Normalize` of the dataset's transforms.
        std: Standard deviation of each channel, likewise.
        bands: Channels to show of images with another number than one or three: three as red, green and blue, or one.
            Default: the mean over all.
        seed: Seed for choosing the samples.

    Raises:
        TypeError: If `num_samples` is not an integer.
        ValueError: If `num_samples` is below 1, `split` is unknown, `indices` is not a list of indices, `mean` and
            `std` do not fit, or `bands` are not one or three channels.

    Example:
        >>> probe = Probe.from_tensors(torch.rand(4, 1, 8, 8), torch.tensor([0, 0, 1, 1]), ["cat", "dog"])
        >>> probe.samples.targets
        tensor([0, 1, 0, 1])
    """

    def __init__(
        self,
        num_samples: int = 1000,
        *,
        split: Split = "val",
        indices: Sequence[int] | None = None,
        inputs: Key | None = None,
        targets: Key | None = None,
        scores: str | None = None,
        task: Task | None = None,
        class_names: ClassNames | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bands: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        num_samples = whole_number(num_samples, "num_samples", at_least=1)
        if split not in ("val", "train", "test"):
            raise ValueError(f'expected split to be "val", "train" or "test", got {split!r}')
        self.split = split
        self.indices = None if indices is None else _indices_list(indices)
        self.num_samples = num_samples if self.indices is None else len(self.indices)
        self.inputs = inputs
        self.targets = targets
        self.scores = scores
        self.task = check_task(task)
        self.class_names = None if class_names is None else class_names_list(class_names)
        self.normalization = Normalization.given(mean, std)
        self.bands = None if bands is None else check_bands(bands)
        self.seed = whole_number(seed, "seed", at_least=0)
        self.axes: ImageAxes | None = None
        """Which axis of the run's images holds the channels; None outside a run."""
        self._passed = False  # whether the samples were passed as tensors
        self._forget()

    def _forget(self) -> None:
        self.origin: Split | None = None
        """Split that the samples come from; None if they were passed as tensors or are not yet chosen."""
        self.version = 0
        """Number of times that samples which had been shown were replaced, at most once: by the first validation."""
        self.places: list[tuple[int, int]] = []
        """Number of its batch in the validation, and row in the batch, of each sample; empty if from elsewhere."""
        self.example: Tensor | None = None
        """The inputs of one sample, shape (1, ...), as soon as there is any; not necessarily one that is chosen."""
        self._found_names: list[str] | None = None
        self._found_normalization: Normalization | None = None
        self._samples: Samples | None = None
        self._settled = False  # whether the choice is final
        self._early: list[Row] = []  # from before the first validation
        self._early_split: Split = "train"
        self._reservoir: BalancedReservoir | None = None
        self._last_offered: tuple[Pass, int, int] | None = None
        self._expects_validation = False
        self._targets_known = True
        self._place: tuple[Key | None, int, int] | None = None  # of the class indices, where the loss has told it

    @classmethod
    def from_tensors(
        cls, inputs: Tensor, targets: Tensor | None = None, class_names: ClassNames | None = None
    ) -> "Probe":
        """Creates a probe of given samples.

        Args:
            inputs: Shape (samples, ...), as the model takes them.
            targets: Class indices, shape (samples,).
            class_names: Names by class index.

        Raises:
            ValueError: If the numbers of inputs and targets differ, or there are fewer names than classes.
        """
        if targets is not None and len(targets) != len(inputs):
            raise ValueError(f"expected one target per input, got {len(inputs)} inputs and {len(targets)} targets")
        probe = cls(len(inputs), class_names=class_names)
        probe._choose(_rows(inputs, targets), None, settled=True)
        probe._passed = True
        return probe

    def begin(self, module: LightningModule) -> None:
        """Forgets the samples of an earlier run, whose data may be other ones; those passed as tensors are kept."""
        self.axes = ImageAxes.of(module)
        if not self._passed:
            self._forget()

    @property
    def samples(self) -> Samples | None:
        """The samples; None before there are any. Those accessed before the first validation may be replaced by it.

        Also None while it is not certain which axis of the images holds the channels, see `ImageAxes`.
        """
        if self._samples is None and self._early:
            self._choose(self._early, self._early_split, settled=self.split == "train")
        if self._samples is None or self.axes is None:
            return self._samples
        last = self.axes.are_last(self._samples.inputs)
        if last is not None and last != self._samples.channels_last:
            found = self._samples._replace(channels_last=last)
            self._samples = found._replace(colours=self._colours(found.planes))
        return None if last is None else self._samples

    @property
    def final(self) -> bool:
        """Whether the samples are those of the rest of the run, rather than to be replaced by the first validation."""
        return self._settled or not self._expects_validation

    def end(self) -> None:
        """Takes the samples so far for those of the whole run, as it is over."""
        self._expects_validation = False

    @property
    def is_complete(self) -> bool:
        """Whether no batch of the rest of the run is needed."""
        return self._settled and self.example is not None

    def forget_targets(self, place: tuple[Key | None, int, int] | None) -> None:
        """Makes the classes of the samples unknown, as the training's loss has shown that they are something else.

        Classes that were passed as tensors, or whose place the user has named, are kept.

        Args:
            place: Where the class indices are among the tensors of a batch (name, position, number of tensors), if
                they are in it; those of later batches are then right.
        """
        told = place is not None and place == self._place
        if self._passed or told or self.targets is not None or not self._targets_known:
            return
        self._place = place
        self._targets_known = place is not None and not self._settled
        self._early = [row._replace(target=-1) for row in self._early]
        if self._samples is not None:
            self._samples = self._samples._replace(targets=torch.full_like(self._samples.targets, -1))
        if place is not None and self._settled:
            where = place[1] if place[0] is None else place[0]
            rank_zero_info(
                "Probe: the class indices in the loss are not those found in the samples, whose classes are therefore "
                f"not shown; name their place in a batch with Probe(targets={where!r})"
            )

    def collect(self, trainer: Trainer, module: LightningModule) -> None:
        """Finds the class names; reads the samples that no pass of the run gives, unless there are any already.

        Args:
            trainer: The trainer, at the start of training.
            module: The model.

        Raises:
            ValueError: If no inputs are found in a batch.
            ConfigurationError: If `inputs` or `targets` does not fit the batch, there are fewer names than classes,
                the test data is not available or `indices` exceed the dataset.
        """
        if self._settled:
            return
        self._expects_validation = self.split == "val" and bool(trainer.enable_validation)
        loader = find_test_loader(trainer) if self.split == "test" else None
        loader = first_loader(trainer.val_dataloaders) if self.split == "val" else loader
        origin: Split = "train" if loader is None else self.split
        loader = first_loader(trainer.train_dataloader) if loader is None else loader
        dataset = None if loader is None else loader.dataset
        self._found_names = find_class_names(dataset, getattr(trainer, "datamodule", None), module)
        self._found_normalization = find_normalization(dataset)
        if loader is not None and (self.indices is not None or self.split == "test"):
            keys, evaluating = (self.inputs, self.targets), origin != "train"
            given = self.num_samples, self.seed, evaluating, MAX_PROBE_BYTES
            parts = read_samples(trainer, loader, keys, self.indices, *given)
            self._choose([row for part in parts for row in _rows(*part)], origin, settled=True)

    def awaits(self, kind: Pass, step: int, batch: int, *, early: bool = True) -> bool:
        """Whether a batch of the run is to be offered; of several callbacks that ask, the first gets True.

        Args:
            kind: What the batch belongs to.
            step: Optimizer step.
            batch: Number of the batch in its pass.
            early: Whether a picture may be due before the first validation has ended.
        """
        if self._last_offered == (kind, step, batch) or self.is_complete:
            return False
        first = self.example is None and not self._settled and (early or self.inputs is None)
        held = sum(row.inputs.nbytes for row in self._early[:1]) * (len(self._early) + 1)
        full = len(self._early) >= self.num_samples or held > MAX_PROBE_BYTES
        if kind == "val":
            wanted = self.split == "val"
        elif kind == "sanity":
            wanted = self.split == "val" and not full
        else:
            other = self._early_split == "val" and self._early
            wanted = not full and not other and self._samples is None and (early or self.split == "train")
        if wanted or first:
            self._last_offered = kind, step, batch
        return wanted or first

    def offer(self, inputs: Tensor, targets: Tensor | None, kind: Pass, batch: int) -> None:
        """Takes what it needs from a batch for which `awaits` returned True.

        Args:
            inputs: Shape (samples, ...), as the model takes them.
            targets: Class indices, shape (samples,).
            kind: What the batch belongs to.
            batch: Number of the batch in its pass.
        """
        if self.example is None:
            self.example = inputs[:1].detach().to("cpu", copy=True)
            try:  # at the first batch of the run, rather than when the choice is made
                Colours.of(self.example if self.axes is None else self.axes.planes(self.example), None, self.bands)
            except ValueError as error:
                raise ConfigurationError(str(error)) from error
        if targets is None or not self._targets_known:
            targets = torch.full((len(inputs),), -1)
        split: Split = "train" if kind == "train" else "val"
        if split != self.split and not (split == "train" and self.split == "val"):
            return
        if kind == "val":
            if self._reservoir is None or batch == 0:
                self._reservoir = BalancedReservoir(self.num_samples, MAX_PROBE_BYTES, self.seed)
            self._reservoir.add(inputs, targets, batch)
        elif self._samples is None:
            self._early_split = split
            fits = MAX_PROBE_BYTES * len(inputs) // max(1, inputs.nbytes)
            wanted = max(0, min(self.num_samples, max(1, fits)) - len(self._early))
            self._early += _rows(inputs[:wanted], targets[:wanted])

    def end_validation(self) -> None:
        """Fixes the choice from a validation that has gone by, if it is the first."""
        if self._settled or self._reservoir is None or not self._reservoir.rows:
            return
        shown, reservoir, self._reservoir = self._samples, self._reservoir, None
        self._choose(reservoir.rows, "val", settled=True, in_pass=True)
        self.version += shown is not None

    def _choose(self, rows: list[Row], origin: Split | None, *, settled: bool, in_pass: bool = False) -> None:
        rows = _of_one_shape(rows)
        targets = np.array([row.target for row in rows], dtype=np.int64)
        if not self._targets_known or targets.max() >= MAX_CLASS_INDEX:  # rather IDs or timestamps
            targets = np.full_like(targets, -1)
        order = balanced_order(targets) if self.indices is None else np.arange(len(targets))
        fits = max(1, MAX_PROBE_BYTES // max(1, rows[0].inputs.nbytes))
        order = order[: min(self.num_samples, fits)]
        if len(order) < self.num_samples:
            none = "there are no more" if settled else "no more had been loaded when the first picture was due"
            reason = "more would exceed 256 MiB" if len(order) == fits else none
            rank_zero_info(f"Probe: using {len(order)} samples instead of {self.num_samples}: {reason}")
        classes = int(targets.max()) + 1
        if self.class_names is not None and len(self.class_names) < classes:
            raise ConfigurationError(
                f"expected a name for each of {classes} classes, got {len(self.class_names)}: {self.class_names}"
            )
        found = self._found_names if self._found_names and len(self._found_names) >= classes else None
        names = self.class_names or found or [str(number) for number in range(classes)]
        inputs = torch.stack([rows[index].inputs for index in order])
        last = self.axes is not None and bool(self.axes.are_last(inputs))
        classes_found = torch.from_numpy(targets[order]), [str(name) for name in names]
        chosen = Samples(inputs, *classes_found, channels_last=last)
        self._samples = chosen._replace(colours=self._colours(chosen.planes))
        self.places = [rows[index].place for index in order] if in_pass else []
        self.origin, self.example = origin, inputs[:1]
        self._settled, self._early = settled, []

    def _colours(self, planes: Tensor) -> Colours:
        return Colours.of(planes, self.normalization or self._found_normalization, self.bands)


def _of_one_shape(rows: list[Row]) -> list[Row]:
    """Samples of different shapes can't be passed at once: those of the most frequent shape are kept."""
    (shape, count), *others = Counter(row.inputs.shape for row in rows).most_common()
    if not others:
        return rows
    size = "×".join(map(str, shape))
    rank_zero_info(f"Probe: the samples differ in size; {count} of {len(rows)}, of size {size}, are used")
    return [row for row in rows if row.inputs.shape == shape]


def _rows(inputs: Tensor, targets: Tensor | None) -> list[Row]:
    """The samples of a batch, as copies on the CPU."""
    classes = [-1] * len(inputs) if targets is None else targets.long().tolist()
    copies = inputs.detach().to("cpu", copy=True)
    return [Row(one, target, (0, row)) for row, (one, target) in enumerate(zip(copies, classes, strict=True))]


def _indices_list(indices: Sequence[int]) -> list[int]:
    try:
        found = [whole_number(index, "indices", at_least=0) for index in indices]
    except (TypeError, ValueError):
        found = []
    if not found:
        raise ValueError(f"expected indices to be a list of indices into the dataset, from 0, got {indices!r}")
    return found
