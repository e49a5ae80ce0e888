"""Margins of the samples of one pass, computed from the batches as they go by."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from lightning_cnnviz.data.scores import are_scores
from lightning_cnnviz.functional.sample_history.dynamics import SamplePass
from lightning_cnnviz.functional.sample_history.margins import sample_margins
from lightning_cnnviz.model.score_listener import ScoredBatch

MAX_WAITING, MAX_ELEMENTS = 32, 4_000_000
"""Batches, and elements of their scores, that wait to be read together, which takes a fraction of the time."""


class _Waiting(NamedTuple):
    targets: Tensor
    scores: Tensor
    logits: Tensor | None


class _Part(NamedTuple):
    numbers: Tensor  # margin and confidence, shape (2, samples)
    classes: Tensor  # predicted and given, shape (2, samples)


class PassScores:
    """Collects the margins of one pass; only `end` synchronises with the device.

    Example:
        >>> scores = PassScores()
        >>> batch = ScoredBatch(torch.ones(2, 4), torch.tensor([0, 1]), torch.tensor([[2.0, 1.0], [3.0, 0.0]]))
        >>> scores.add([5, 2], batch)
        >>> scores.end(samples=6).margin.tolist()
        [0.0, 0.0, -3.0, 0.0, 0.0, 1.0]
    """

    def __init__(self) -> None:
        self.classes = 0
        """Number of classes; 0 before the first batch."""
        self.finite = True
        """Whether there was any finite score, or none at all, in the pass that has ended last."""
        self._numbers: list[int] = []
        self._waiting: list[_Waiting] = []  # of one shape
        self._room = 1
        self._parts: list[_Part] = []

    def add(self, numbers: Sequence[int], batch: ScoredBatch) -> None:
        """Takes the scores of a batch; one without class scores is left out.

        Args:
            numbers: Number of each sample in its dataset.
            batch: The batch.
        """
        scores = batch.scores
        if not len(numbers) or not are_scores(scores, len(numbers)):
            return
        scores = scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
        if self._waiting and (len(self._waiting) == self._room or self._waiting[0].scores.shape != scores.shape):
            self._read()
        if not self._waiting:
            self._room = min(MAX_WAITING, max(1, MAX_ELEMENTS // scores.numel()))
            self.classes = 2 if scores.ndim == 1 else scores.shape[1]
        # Copies, because the memory may be used again. They cost less here than a StepBuffer, which has more to check.
        self._waiting.append(_Waiting(batch.targets.clone(), scores.clone(), batch.logits))
        self._numbers += numbers

    def clear(self) -> None:
        """Discards the pass so far."""
        self._numbers, self._waiting, self._parts = [], [], []

    def end(self, samples: int, strategy: Strategy | None = None) -> SamplePass | None:
        """Ends the pass and returns what it has told; None if it has told nothing.

        Args:
            samples: Number of samples in the dataset.
            strategy: With several processes, each of which must call this, all that they have seen is put together.
        """
        failure, found = None, _nothing(samples)
        try:
            found = self._ended(samples)
        except Exception as error:  # raised later: the other ranks wait in the reduction
            failure = error
        if strategy is not None:
            found = _of_all_ranks(found, strategy)
        if failure is not None:
            raise failure
        if not found[0].any():
            return None
        seen = found[0].astype(np.int32)
        margin, confidence = (part / np.maximum(seen, 1) for part in found[1:3])
        return SamplePass(seen, margin, confidence, *(part.astype(np.int32) for part in found[3:]))

    def _ended(self, samples: int) -> npt.NDArray[np.float64]:
        try:
            self._read()
            self.finite = True
            if not self._parts:
                return _nothing(samples)
            values = torch.cat([part.numbers for part in self._parts], dim=1).cpu().numpy()
            classes = torch.cat([part.classes for part in self._parts], dim=1).cpu().numpy()
            numbers = np.array(self._numbers, dtype=np.intp)
        finally:
            self.clear()
        if numbers.max() >= samples:
            raise ValueError(f"expected numbers of samples below {samples}, got {numbers.max()}")
        known = np.isfinite(values).all(axis=0)
        self.finite = bool(known.any())
        numbers, values, classes = numbers[known], values[:, known], classes[:, known]
        found = _nothing(samples)
        found[0] = np.bincount(numbers, minlength=samples)
        for row, weights in enumerate(values, start=1):
            found[row] = np.bincount(numbers, weights, minlength=samples)
        found[3:, numbers] = classes  # of a sample seen several times, the last
        return found

    def _read(self) -> None:
        """Computes the margins of the batches that wait, together."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        targets, scores = torch.stack([one.targets for one in waiting]), torch.stack([one.scores for one in waiting])
        logits = [one.logits for one in waiting if one.logits is not None]
        found = sample_margins(scores, targets, torch.stack(logits)[:, None] if logits else None)
        numbers = torch.stack([found.margin.flatten(), found.confidence.flatten()])
        self._parts.append(_Part(numbers, torch.stack([found.predicted.flatten(), targets.flatten()])))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_numbers": [], "_waiting": [], "_parts": []}


def _nothing(samples: int) -> npt.NDArray[np.float64]:
    """How often a sample was seen, sums of margin and confidence, and predicted and given class (-1: unknown)."""
    found = np.zeros((5, samples))
    found[3:] = -1
    return found


def _of_all_ranks(found: npt.NDArray[np.float64], strategy: Strategy) -> npt.NDArray[np.float64]:
    own = torch.from_numpy(found).to(strategy.root_device, torch.float32)
    sums = strategy.reduce(own[:3].clone(), reduce_op="sum")
    classes = strategy.reduce(own[3:].clone(), reduce_op="max")
    return torch.cat([sums, classes]).cpu().double().numpy()
