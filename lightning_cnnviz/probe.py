"""The fixed samples on which activations are shown."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz.batch import Key, split_batch
from lightning_cnnviz.capture import isolated_rng
from lightning_cnnviz.datasets import find_class_names, first_loader, known_targets
from lightning_cnnviz.errors import ConfigurationError

MOST_BYTES = 256 * 2**20
MOST_CLASSES = 100_000
"""Larger numbers are no classes."""


class Samples(NamedTuple):
    """Samples on the CPU, ordered so that every beginning of the set is balanced over the classes.

    Attributes:
        inputs: Shape (samples, ...), as the model takes them.
        targets: Class numbers, shape (samples,); -1 where there are none.
        class_names: A name for each class number.
    """

    inputs: Tensor
    targets: Tensor
    class_names: list[str]

    def class_name(self, number: int) -> str:
        """The name of a class, its number where it has no name."""
        return self.class_names[number] if 0 <= number < len(self.class_names) else str(number)


class Probe:
    """The samples on which activations are shown, chosen once and the same in every epoch.

    By itself it finds the validation data (or the training data where there is none as training starts), what
    in a batch are inputs and class numbers, and the class names; each can be overridden. Samples are balanced
    over the classes. They are read straight from the dataset, beside the trainer's loaders and with all random states
    put back. Where that can't be done, as with a stream (`IterableDataset`), they are taken from the first
    training batches that pass by.

    Args:
        num_samples: How many samples, at least 1. With less data all of it is taken, and a set of more than
            256 MiB is cut; one line says so.
        split: `"val"`, `"train"` or `"test"`.
        indices: Places in the dataset: these samples in this order, whatever `num_samples` and `seed` say.
        inputs: Index, key or attribute of the inputs in a batch; see `lightning_cnnviz.batch.split_batch`.
        targets: Index, key or attribute of the class numbers in a batch.
        class_names: Names by class number. Default: `class_names` or `classes` of the dataset, the data
            module or the model.
        seed: Of the choice of samples.

    Raises:
        TypeError: If `num_samples` is no whole number.
        ValueError: If `num_samples` is below 1, `split` is unknown or `indices` are no places.

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
        indices: list[int] | None = None,
        inputs: Key | None = None,
        targets: Key | None = None,
        class_names: list[str] | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool):
            raise TypeError(f"expected the number of samples to be a whole number, got {num_samples!r}")
        if num_samples < 1:
            raise ValueError(f"expected at least 1 sample, got {num_samples}")
        if split not in ("val", "train", "test"):
            raise ValueError(f'expected split to be "val", "train" or "test", got {split!r}')
        if indices is not None and not (indices and all(isinstance(index, int) and index >= 0 for index in indices)):
            raise ValueError(f"expected indices to be a list of places in the dataset, from 0, got {indices!r}")
        self.num_samples = num_samples if indices is None else len(indices)
        self.split = split
        self.indices = indices
        self.inputs = inputs
        self.targets = targets
        self.class_names = class_names
        self.seed = seed
        self.origin: Literal["val", "train", "test"] | None = None
        """Split that the samples were found in; None where they were given."""
        self._found_names: list[str] | None = None
        self._samples: Samples | None = None
        self._passing: list[tuple[Tensor, Tensor]] = []
        self._last_place: tuple[int, int] | None = None

    @classmethod
    def from_tensors(
        cls, inputs: Tensor, targets: Tensor | None = None, class_names: list[str] | None = None
    ) -> "Probe":
        """A probe of given samples.

        Args:
            inputs: Shape (samples, ...), as the model takes them.
            targets: Class numbers, shape (samples,).
            class_names: Names by class number.

        Raises:
            ValueError: If the numbers of inputs and targets differ, or there are fewer names than classes.
        """
        if targets is not None and len(targets) != len(inputs):
            raise ValueError(f"expected one target per input, got {len(inputs)} inputs and {len(targets)} targets")
        probe = cls(len(inputs), class_names=class_names)
        probe._passing = [_on_cpu(inputs, targets)]
        probe._choose()
        return probe

    @property
    def samples(self) -> Samples | None:
        """The samples; None before any are known. With the first look at them the choice is fixed."""
        if self._samples is None and self._passing:
            self._choose()
        return self._samples

    def collect(self, trainer: Trainer, module: LightningModule) -> None:
        """Reads the samples from the trainer's data; does nothing where they are known or the data is a stream.

        Raises:
            ValueError: If the inputs are not found in a batch.
            ConfigurationError: If they are not where `inputs` says, there are fewer names than classes, the test
                data can't be had or there are no such `indices`.
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
                raise ConfigurationError("a stream has no places: leave indices out, the first samples are taken")
            self.origin = "train"  # from the batches that pass by
            return
        with isolated_rng():
            try:  # transforms on the device may ask the trainer whether this is training
                trainer.validating = evaluating
                self._read(trainer, loader)
            finally:
                trainer.training = True
        self._choose()

    @property
    def full(self) -> bool:
        """Whether the samples are known, or enough of them have passed by."""
        return self._samples is not None or sum(len(inputs) for inputs, _ in self._passing) >= self.num_samples

    def offer(self, batch: Any, place: tuple[int, int] | None = None) -> None:
        """Takes samples out of a training batch while the set is neither known nor full.

        Args:
            batch: The batch.
            place: Its epoch and number, by which a batch is known that another callback has offered before.
        """
        if not self.full and (place is None or place != self._last_place):
            self._last_place = place
            self._passing.append(_on_cpu(*split_batch(batch, self.inputs, self.targets)))

    def _loaders(self, trainer: Trainer) -> Any:
        if self.split != "test":
            return trainer.val_dataloaders if self.split == "val" else None
        owner = getattr(trainer, "datamodule", None) or trainer.lightning_module
        try:  # Lightning itself asks for them only after the training
            return owner.test_dataloader()
        except Exception as error:
            raise ConfigurationError(
                f'Probe(split="test") found no test data: {type(owner).__name__}.test_dataloader() gave '
                f'{type(error).__name__}: {error}; make them in setup("fit") too, or use split="val"'
            ) from error

    def _read(self, trainer: Trainer, loader: DataLoader[Any]) -> None:
        dataset, at_once = loader.dataset, loader.batch_size or 1
        size = len(dataset)  # type: ignore[arg-type]
        if self.indices is not None and max(self.indices) >= size:
            raise ConfigurationError(f"expected indices below {size}, the size of the data, got {max(self.indices)}")
        order = np.random.default_rng(self.seed).permutation(size)
        known = known_targets(dataset)
        if self.indices is not None:
            order = np.asarray(self.indices)
        elif known is not None and len(known) == size:
            order = order[balanced_order(known[order])][: self.num_samples]
        else:  # some more than needed, to be balanced when their classes are known
            order = order[: max(2 * self.num_samples, 64)]
        self._passing = []
        for start in range(0, len(order), at_once):
            items = [dataset[int(index)] for index in order[start : start + at_once]]
            batch = trainer.strategy.batch_to_device(loader.collate_fn(items), dataloader_idx=0)
            self._passing.append(_on_cpu(*split_batch(batch, self.inputs, self.targets)))
            if sum(inputs.nbytes for inputs, _ in self._passing) > MOST_BYTES:
                break

    def _choose(self) -> None:
        inputs, targets = (torch.cat(parts) for parts in zip(*self._passing, strict=True))
        if int(targets.max()) >= MOST_CLASSES:  # rather identities or times
            targets = torch.full_like(targets, -1)
        balanced = balanced_order(targets.numpy()) if self.indices is None else np.arange(len(targets))
        order = torch.from_numpy(balanced)
        fits = max(1, MOST_BYTES * len(inputs) // max(1, inputs.nbytes))
        order = order[: min(self.num_samples, fits)]
        if len(order) < self.num_samples:
            reason = "more would take over 256 MiB" if len(inputs) > fits else "there are no more"
            rank_zero_info(f"Probe: showing {len(order)} samples instead of {self.num_samples}, {reason}")
        classes = int(targets.max()) + 1
        if self.class_names is not None and len(self.class_names) < classes:
            raise ConfigurationError(
                f"expected a name for each of {classes} classes, got {len(self.class_names)}: {self.class_names}"
            )
        found = self._found_names if self._found_names and len(self._found_names) >= classes else None
        names = self.class_names or found or [str(number) for number in range(classes)]
        self._samples = Samples(inputs[order], targets[order], [str(name) for name in names])
        self._passing = []


def balanced_order(targets: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """An order in which every beginning is as balanced over the classes as the samples allow.

    Within a class the order is kept.

    Example:
        >>> balanced_order(np.array([7, 7, 7, 3, 3]))
        array([3, 0, 4, 1, 2])
    """
    by_class = np.argsort(targets, kind="stable")
    starts = np.searchsorted(targets[by_class], targets[by_class])
    rank = np.empty(len(targets), dtype=np.intp)
    rank[by_class] = np.arange(len(targets)) - starts
    return np.lexsort((targets, rank))


def _on_cpu(inputs: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
    if targets is None:
        targets = torch.full((len(inputs),), -1)
    return inputs.detach().to("cpu", copy=True), targets.detach().to("cpu", torch.int64, copy=True)
