"""Reading samples that no pass of the run gives: those at chosen indices, and test data."""

from typing import Any

import numpy as np
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler

from lightning_cnnviz.data.batch import Key, split_batch
from lightning_cnnviz.data.datasets import first_loader, known_targets
from lightning_cnnviz.data.samples import balanced_order
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.lightning import evaluation_stage
from lightning_cnnviz.rng import isolated_rng

Parts = list[tuple[Tensor, Tensor | None]]


def find_test_loader(trainer: Trainer) -> DataLoader[Any] | None:
    """Returns the first dataloader of the test data, which Lightning itself creates only after training.

    Raises:
        ConfigurationError: If the test data are not available yet.
    """
    owner = getattr(trainer, "datamodule", None) or trainer.lightning_module
    try:
        return first_loader(owner.test_dataloader())
    except Exception as error:
        raise ConfigurationError(
            f'Probe(split="test") found no test data: {type(owner).__name__}.test_dataloader() raised '
            f'{type(error).__name__}: {error}; create it in setup("fit") too, or use split="val"'
        ) from error


def read_samples(
    trainer: Trainer,
    loader: DataLoader[Any],
    keys: tuple[Key | None, Key | None],
    indices: list[int] | None,
    num_samples: int,
    seed: int,
    evaluating: bool,
    most_bytes: int,
) -> Parts:
    """Reads samples from a dataloader's dataset, in this process, batch by batch as the loader would.

    Args:
        trainer: Moves the batches to its device; its hooks on batches run.
        loader: Gives the dataset, the batch size and the function that collates samples.
        keys: Inputs and class indices in a batch, as in `split_batch`.
        indices: Indices into the dataset; None for a class-balanced choice, or more than `num_samples` where the
            classes are not known before.
        num_samples: Number of samples to choose.
        seed: Seed of the choice.
        evaluating: Whether the samples belong to evaluation, not to training.
        most_bytes: Size at which reading ends.

    Raises:
        ValueError: If no inputs are found in a batch.
        ConfigurationError: If the dataset cannot be indexed, or `indices` exceed it.
    """
    dataset, batch_size = loader.dataset, loader.batch_size
    if isinstance(dataset, IterableDataset) or batch_size is None:
        raise ConfigurationError(
            '`indices` and split="test" need a map-style dataset; without them, samples of the run\'s own batches are '
            "shown"
        )
    size = len(dataset)  # type: ignore[arg-type]
    if indices is not None and max(indices) >= size:
        raise ConfigurationError(f"expected indices below the dataset's size of {size}, got {max(indices)}")
    # of a dataset that samplers split, only the part that this loader draws from
    part = loader.sampler.indices if isinstance(loader.sampler, SubsetRandomSampler) else range(size)
    order = np.random.default_rng(seed).permutation(np.asarray(part, dtype=np.intp))
    order = order if indices is None else np.asarray(indices)
    known = known_targets(dataset)
    if indices is None and known is not None and len(known) == size:
        order = order[balanced_order(known[order])][:num_samples]
    elif indices is None:  # more than needed, to be balanced once their classes are known
        order = order[: max(2 * num_samples, 64)]
    parts: Parts = []
    with isolated_rng(), evaluation_stage(trainer, evaluating):
        for start in range(0, len(order), batch_size):
            items = [dataset[int(index)] for index in order[start : start + batch_size]]
            batch = trainer.strategy.batch_to_device(loader.collate_fn(items), dataloader_idx=0)
            parts.append(split_batch(batch, *keys))
            if sum(inputs.nbytes for inputs, _ in parts) > most_bytes:
                break
    return parts
