"""Which samples were seen, told by hashes of their bits."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

_OF_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64, 1: torch.uint8}
MAX_ENTRIES = 256
"""Entries of a sample that are hashed, evenly spread."""
MAX_SAMPLES = 100_000
"""Samples of the training, and of the validation, that are remembered."""


class SampleHashes:
    """Estimates which share of validation samples is among those of the training.

    Example:
        >>> hashes, images = SampleHashes(), torch.rand(80, 1, 4, 4)
        >>> hashes.add(images, "train")
        >>> hashes.add(images[40:], "val")
        >>> hashes.shared(training_samples=80)
        1.0
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Tensor]] = {"train": [], "val": []}
        self._seen: dict[str, set[int]] = {"train": set(), "val": set()}

    def add(self, inputs: Tensor, split: str) -> None:
        """Takes the samples of a batch, shape (samples, ...), of `"train"` or `"val"`."""
        if len(inputs) and inputs[0].numel() >= 4 and len(self._seen[split]) < MAX_SAMPLES:
            self._waiting[split].append(hashes_of(inputs))

    def shared(self, training_samples: float) -> float:
        """Returns the estimated share, 0…1; NaN if nothing is known.

        Args:
            training_samples: Number of samples in the training data.
        """
        for split, waiting in self._waiting.items():
            self._seen[split].update(int(value) for part in waiting for value in part.tolist())
            waiting.clear()
        train, val = (self._seen[split] - {0} for split in ("train", "val"))
        expected = len(val) * min(len(train) / training_samples, 1.0) if training_samples else 0.0
        both = len(train & val)
        if expected < 5:
            return float("nan")
        return min(both / expected, 1.0) if both >= 3 else 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {"_waiting": {"train": [], "val": []}, "_seen": self._seen}


def hashes_of(inputs: Tensor) -> Tensor:
    """Returns a hash of each sample, int64 of shape (samples,); 0 for a sample whose entries are all equal.

    Example:
        >>> hashes_of(torch.zeros(2, 8)).tolist()
        [0, 0]
    """
    flat = inputs.detach()
    flat = (torch.view_as_real(flat) if flat.is_complex() else flat).flatten(1)
    flat = flat[:, :: -(-flat.shape[1] // MAX_ENTRIES)].contiguous()
    bits = flat.view(_OF_SIZE[flat.element_size()])
    factors = _factors(bits.shape[1]).to(bits.device)
    sums = (bits * factors).sum(dim=1)  # modulo 2⁶⁴: two samples differ in it but with a probability of about 2⁻⁴⁰
    return torch.where(sums == bits[:, 0].long() * factors.sum(), 0, sums)


@lru_cache(maxsize=4)
def _factors(number: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(-(2**62), 2**62, number) | 1)
