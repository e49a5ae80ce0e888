"""The fixed samples that the visuals show."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler

from lightning_cnnviz.data.batch import Key, split_batch
from lightning_cnnviz.data.datasets import find_class_names, first_loader, known_targets
from lightning_cnnviz.errors import ClassNames, ConfigurationError, class_names_list, whole_number
from lightning_cnnviz.lightning import evaluation_stage
from lightning_cnnviz.rng import isolated_rng

MAX_PROBE_BYTES = 256 * 2**20
MAX_CLASS_INDEX = 100_000
"""Targets from this on are not taken for class indices."""


class Samples(NamedTuple):
    """Samples on the CPU, ordered so that the first n are class-balanced for any n.

    Attributes:
        inputs: Shape (samples, ...), as the model takes them.
        targets: Class indices, shape (samples,); -1 if unknown.
        class_names: A name for each class index.
    """

    inputs: Tensor
    targets: Tensor
    class_names: list[str]

    def class_name(self, number: int) -> str:
        """Returns the name of a class, given its index; the index as text if it has no name."""
        return self.class_names[number] if 0 <= number < len(self.class_names) else str(number)


class Probe:
    """A fixed set of samples on which the model is shown, chosen once and the same in every epoch.

    A probe finds the validation data (or the training data, if there is no validation data at the start of training),
    the inputs and class indices in a batch, and the class names; each can be overridden. Samples are class-balanced.
    They are read directly from the dataset, independently of the trainer's dataloaders, and all random states are
    restored. If that is impossible, as with a stream (`IterableDataset`), they are taken from the first training
    batches.

    Args:
        num_samples: Number of samples, at least 1. A smaller dataset is taken whole, and a set of more than 256 MiB is
            truncated; either is reported in one line.
        split: `"val"`, `"train"` or `"test"`.
        indices: Indices into the dataset, from 0: these samples in this order, regardless of `num_samples` and `seed`.
        inputs: Index, key or attribute of the inputs in a batch; see `lightning_cnnviz.data.batch.split_batch`.
        targets: Index, key or attribute of the class indices in a batch.
        class_names: Names by class index. Default: `class_names` or `classes` of the dataset, the data module or
            the model.
        seed: Seed for choosing the samples.

    Raises:
        TypeError: If `num_samples` is not an integer.
        ValueError: If `num_samples` is below 1, `split` is unknown or `indices` is not a list of indices.

    Example:
        >>> probe = Probe.from_tensors(torch.rand(4, 1, 8, 8), torch.tensor([0, 0, 1, 1]), ["cat", "dog"])
        >>> probe.samples.targets
        tensor([0, 1, 0, 1])
    """

    def __init__(
        self,
        num_samples: int = 1000,
        *,
        split: Literal["val", "train", "test"] = "val",
        indices: Sequence[int] | None = None,
        inputs: Key | None = None,
        targets: Key | None = None,
        class_names: ClassNames | None = None,
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
        self.class_names = None if class_names is None else class_names_list(class_names)
        self.seed = whole_number(seed, "seed", at_least=0)
        self.origin: Literal["val", "train", "test"] | None = None
        """Split that the samples come from; None if they were passed as tensors or are not yet collected."""
        self._found_names: list[str] | None = None
        self._samples: Samples | None = None
        self._collected: list[tuple[Tensor, Tensor]] = []
        self._last_offered: tuple[int, int] | None = None
        self._targets_known = True

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
        probe._collected = [_on_cpu(inputs, targets)]
        probe._choose()
        return probe

    @property
    def samples(self) -> Samples | None:
        """The samples; None before any are collected. The first access fixes the choice."""
        if self._samples is None and self._collected:
            self._choose()
        return self._samples

    def forget_targets(self, place: tuple[Key | None, int, int] | None) -> None:
        """Makes the classes of the samples unknown, as the training's loss has shown that they are something else.

        Classes that were passed as tensors, or whose place the user has named, are kept.

        Args:
            place: Where the class indices are among the tensors of a batch (name, position, number of tensors), if
                they are in it.
        """
        passed = self._samples is not None and self.origin is None
        if passed or self.targets is not None or not self._targets_known:
            return
        self._targets_known = False
        if self._samples is not None:
            self._samples = self._samples._replace(targets=torch.full_like(self._samples.targets, -1))
        if place is not None:
            where = place[1] if place[0] is None else place[0]
            rank_zero_info(
                "Probe: the class indices in the loss are not those found in the samples, whose classes are therefore "
                f"not shown; name their place in a batch with Probe(targets={where!r})"
            )

    def collect(self, trainer: Trainer, module: LightningModule) -> None:
        """Reads the samples from the trainer's data, unless they are collected already or the dataset is a stream.

        Args:
            trainer: The trainer, at the start of training.
            module: The model.

        Raises:
            ValueError: If no inputs are found in a batch.
            ConfigurationError: If `inputs` or `targets` does not fit the batch, there are fewer names than classes,
                the test data is not available or `indices` exceed the dataset.
        """
        if self._samples is not None:
            return
        loader = first_loader(self._loaders(trainer))
        evaluating = loader is not None
        self.origin = self.split if evaluating else "train"
        loader = loader if evaluating else first_loader(trainer.train_dataloader)
        dataset = None if loader is None else loader.dataset
        self._found_names = find_class_names(dataset, getattr(trainer, "datamodule", None), module)
        if loader is None or isinstance(dataset, IterableDataset) or loader.batch_size is None:
            if self.indices is not None:
                raise ConfigurationError(
                    "`indices` needs a map-style dataset; without it, the first training samples are taken"
                )
            self.origin = "train"  # taken from training batches
            return
        with isolated_rng(), evaluation_stage(trainer, evaluating):
            self._read(trainer, loader)
        self._choose()

    @property
    def full(self) -> bool:
        """Whether the samples are chosen, or enough of them are collected."""
        return self._samples is not None or sum(len(inputs) for inputs, _ in self._collected) >= self.num_samples

    def offer(self, batch: Any, place: tuple[int, int] | None = None) -> None:
        """Takes samples from a training batch, unless the probe is full.

        Args:
            batch: The batch.
            place: Epoch and batch index, which identify a batch that another callback has offered already.
        """
        if not self.full and (place is None or place != self._last_offered):
            self._last_offered = place
            self._collected.append(_on_cpu(*split_batch(batch, self.inputs, self.targets)))

    def _loaders(self, trainer: Trainer) -> Any:
        if self.split != "test":
            return trainer.val_dataloaders if self.split == "val" else None
        owner = getattr(trainer, "datamodule", None) or trainer.lightning_module
        try:  # Lightning itself creates it only after training
            return owner.test_dataloader()
        except Exception as error:
            raise ConfigurationError(
                f'Probe(split="test") found no test data: {type(owner).__name__}.test_dataloader() raised '
                f'{type(error).__name__}: {error}; create it in setup("fit") too, or use split="val"'
            ) from error

    def _read(self, trainer: Trainer, loader: DataLoader[Any]) -> None:
        dataset, batch_size = loader.dataset, loader.batch_size or 1
        size = len(dataset)  # type: ignore[arg-type]
        if self.indices is not None and max(self.indices) >= size:
            raise ConfigurationError(f"expected indices below the dataset's size of {size}, got {max(self.indices)}")
        # of a dataset that samplers split, only the part that this loader draws from
        part = loader.sampler.indices if isinstance(loader.sampler, SubsetRandomSampler) else range(size)
        order = np.random.default_rng(self.seed).permutation(np.asarray(part, dtype=np.intp))
        known = known_targets(dataset)
        if self.indices is not None:
            order = np.asarray(self.indices)
        elif known is not None and len(known) == size:
            order = order[balanced_order(known[order])][: self.num_samples]
        else:  # more than needed, to be balanced once their classes are known
            order = order[: max(2 * self.num_samples, 64)]
        self._collected = []
        for start in range(0, len(order), batch_size):
            items = [dataset[int(index)] for index in order[start : start + batch_size]]
            batch = trainer.strategy.batch_to_device(loader.collate_fn(items), dataloader_idx=0)
            self._collected.append(_on_cpu(*split_batch(batch, self.inputs, self.targets)))
            if sum(inputs.nbytes for inputs, _ in self._collected) > MAX_PROBE_BYTES:
                break

    def _choose(self) -> None:
        self._keep_one_shape()
        inputs, targets = (torch.cat(parts) for parts in zip(*self._collected, strict=True))
        if not self._targets_known or int(targets.max()) >= MAX_CLASS_INDEX:  # rather IDs or timestamps
            targets = torch.full_like(targets, -1)
        balanced = balanced_order(targets.numpy()) if self.indices is None else np.arange(len(targets))
        order = torch.from_numpy(balanced)
        fits = max(1, MAX_PROBE_BYTES * len(inputs) // max(1, inputs.nbytes))
        order = order[: min(self.num_samples, fits)]
        if len(order) < self.num_samples:
            reason = "more would exceed 256 MiB" if len(inputs) > fits else "the dataset has no more"
            rank_zero_info(f"Probe: using {len(order)} samples instead of {self.num_samples}: {reason}")
        classes = int(targets.max()) + 1
        if self.class_names is not None and len(self.class_names) < classes:
            raise ConfigurationError(
                f"expected a name for each of {classes} classes, got {len(self.class_names)}: {self.class_names}"
            )
        found = self._found_names if self._found_names and len(self._found_names) >= classes else None
        names = self.class_names or found or [str(number) for number in range(classes)]
        self._samples = Samples(inputs[order], targets[order], [str(name) for name in names])
        self._collected = []

    def _keep_one_shape(self) -> None:
        """Samples of different shapes can't be passed at once: those of the most frequent shape are kept."""
        counts = Counter[torch.Size]()
        for inputs, _ in self._collected:
            counts[inputs.shape[1:]] += len(inputs)
        (shape, count), *others = counts.most_common()
        if others:
            size = "×".join(map(str, shape))
            rank_zero_info(f"Probe: the samples differ in size; {count} of {counts.total()}, of size {size}, are used")
            self._collected = [part for part in self._collected if part[0].shape[1:] == shape]


def balanced_order(targets: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Returns an order whose first n samples are, for any n, as class-balanced as the samples allow.

    The order within a class is preserved.

    Args:
        targets: Class indices, shape (samples,).

    Returns:
        Indices into `targets`, shape (samples,).

    Example:
        >>> balanced_order(np.array([7, 7, 7, 3, 3]))
        array([3, 0, 4, 1, 2])
    """
    by_class = np.argsort(targets, kind="stable")
    starts = np.searchsorted(targets[by_class], targets[by_class])
    rank = np.empty(len(targets), dtype=np.intp)
    rank[by_class] = np.arange(len(targets)) - starts
    return np.lexsort((targets, rank))


def _indices_list(indices: Sequence[int]) -> list[int]:
    try:
        found = [whole_number(index, "indices", at_least=0) for index in indices]
    except (TypeError, ValueError):
        found = []
    if not found:
        raise ValueError(f"expected indices to be a list of indices into the dataset, from 0, got {indices!r}")
    return found


def _on_cpu(inputs: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
    if targets is None:
        targets = torch.full((len(inputs),), -1)
    return inputs.detach().to("cpu", copy=True), targets.detach().to("cpu", torch.int64, copy=True)
