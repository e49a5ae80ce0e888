"""Counts of true and predicted classes, accumulated on the device batch by batch."""

from typing import NamedTuple

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from lightning_cnnviz.data.scores import are_scores, confidences, predicted_classes
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.step_buffer import StepBuffer

MAX_MATRIX_CLASSES = 4096
"""Maximum number of classes of a confusion matrix, whose counts then take 128 MiB."""


class Rows(NamedTuple):
    """Samples with their predictions; every tensor has one row per sample.

    Attributes:
        images: Shape (samples, ...), as the model takes them.
        true: Class indices, shape (samples,).
        predicted: Class indices, shape (samples,).
        confidence: Probability of the predicted class, 0…1, shape (samples,).
    """

    images: Tensor
    true: Tensor
    predicted: Tensor
    confidence: Tensor

    def take(self, which: Tensor | slice) -> "Rows":
        """Selects rows by index, mask or slice."""
        return Rows(*(part[which if isinstance(which, slice) else which.to(part.device)] for part in self))


class Totals(NamedTuple):
    """Sums over all ranks, on the CPU.

    Attributes:
        counts: Confusion matrix, shape (classes, classes): rows are the true classes, columns the predicted ones.
        ignored: Number of samples with a negative target (such as an `ignore_index`).
        beyond: Number of samples whose target exceeds the model's classes.
        non_finite: Number of samples without a confidence, since their scores are not finite.
    """

    counts: Tensor
    ignored: int
    beyond: int
    non_finite: int


class ClassTally:
    """Counts true and predicted classes and keeps the most confident mistakes, without synchronising the device.

    Args:
        max_mistakes: Maximum number of mistakes to keep.
        max_samples: Number of first samples to keep.

    Example:
        >>> tally = ClassTally(max_mistakes=1, max_samples=2)
        >>> scores = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
        >>> tally.add(ScoredBatch(torch.rand(3, 1, 8, 8), torch.tensor([0, 0, 0]), scores))
        >>> tally.counts
        tensor([[2, 1],
                [0, 0]])
    """

    def __init__(self, max_mistakes: int, max_samples: int) -> None:
        self.classes = 0
        """Number of classes; 0 before the first batch."""
        self._max_mistakes = max_mistakes
        self._max_samples = max_samples
        self._single_output = False
        self._cells = torch.zeros(1, dtype=torch.int64)  # one per pair of classes, one for invalid targets
        self._exclusions = torch.zeros(3, dtype=torch.int64)
        self._samples: Rows | None = None
        self._mistakes: Rows | None = None
        self._buffer = StepBuffer(self._read)
        self._input_shape: torch.Size | None = None

    @property
    def counts(self) -> Tensor:
        """Confusion matrix, int64 of shape (classes, classes), on the device: rows are the true classes."""
        self._buffer.read()
        return self._cells[:-1].reshape(self.classes, self.classes)

    @property
    def samples(self) -> Rows | None:
        """The first samples, on the device."""
        self._buffer.read()
        return self._samples

    @property
    def mistakes(self) -> Rows | None:
        """The most confident mistakes, on the device, most confident first."""
        self._buffer.read()
        if self._mistakes is None:
            return None
        return self._mistakes.take(self._mistakes.confidence >= 0)

    def add(self, batch: ScoredBatch) -> None:
        """Counts a batch; a batch whose scores are not class scores is skipped.

        Raises:
            ValueError: If there are too many classes for a matrix, or the number of classes or the shape of the
                inputs has changed; inputs of another shape are counted all the same.
        """
        if not len(batch.targets) or not are_scores(batch.scores, len(batch.targets)):
            return
        self._begin(batch.scores)
        self._input_shape = self._input_shape or batch.inputs.shape[1:]
        tensors = [batch.inputs, batch.targets, batch.scores, *([] if batch.logits is None else [batch.logits])]
        if batch.inputs.shape[1:] != self._input_shape or not self._buffer.add(tensors):
            self._buffer.read()
            self._read([tensor[None] for tensor in tensors])

    def _read(self, copies: list[Tensor]) -> None:
        """Counts batches, each tensor of shape (batches, ...)."""
        images, true, scores = (part.flatten(0, 1) for part in copies[:3])
        logits = copies[3][:, None].expand(copies[1].shape).flatten() if len(copies) > 3 else None
        predicted = predicted_classes(scores, len(true), logits)
        assert predicted is not None
        several = copies[2].ndim == 3 and copies[2].shape[2] > 1
        confidence = confidences(copies[2]).flatten() if several else confidences(scores, logits)
        known, ignored, beyond = confidence.isfinite(), true < 0, true >= self.classes
        cell = torch.where(ignored | beyond, self.classes**2, true * self.classes + predicted)
        self._cells.index_add_(0, cell, torch.ones_like(cell))
        self._exclusions += torch.stack([ignored.sum(), beyond.sum(), known.logical_not().sum()])
        wrong = (predicted != true) & known & ~ignored & ~beyond
        self._keep(Rows(images, true, predicted, confidence), wrong)

    def _begin(self, scores: Tensor) -> None:
        width = 1 if scores.ndim == 1 else scores.shape[1]
        classes = max(2, width)
        if classes > MAX_MATRIX_CLASSES:
            raise ValueError(f"expected at most {MAX_MATRIX_CLASSES} classes for a confusion matrix, got {classes}")
        if not self.classes:
            self.classes, self._single_output = classes, width == 1
            self._cells = torch.zeros(classes**2 + 1, dtype=torch.int64, device=scores.device)
            self._exclusions = torch.zeros(3, dtype=torch.int64, device=scores.device)
        if classes != self.classes:
            raise ValueError(f"expected scores of {self.classes} classes as before, got {classes}")

    def _keep(self, rows: Rows, wrong: Tensor) -> None:
        room = self._max_samples - (0 if self._samples is None else len(self._samples.true))
        if room:
            self._samples = _concatenate(self._samples, rows.take(slice(room)))
        ranked = rows._replace(confidence=torch.where(wrong, rows.confidence, -1.0))
        both = _concatenate(self._mistakes, _most_confident(ranked, self._max_mistakes))
        self._mistakes = _most_confident(both, self._max_mistakes)

    def totals(self, strategy: Strategy) -> Totals | None:
        """Returns the sums over all ranks (every rank must call this); None if there is nothing to report.

        A single output with targets other than 0 and 1 is not treated as a classifier's; it may be an age.
        """
        failure = None
        try:
            self._buffer.read()
        except Exception as error:  # raised later: the other ranks wait in the reduction
            failure = error
        device = strategy.root_device
        facts = torch.tensor([self.classes, int(self._single_output)], device=device)
        classes, single = strategy.reduce(facts, reduce_op="max").tolist()
        if not classes:
            return None
        counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        counts[: self.classes, : self.classes] = self._cells[:-1].reshape(self.classes, self.classes)
        counts = strategy.reduce(counts, reduce_op="sum").cpu()
        ignored, beyond, non_finite = strategy.reduce(self._exclusions.to(device, copy=True), reduce_op="sum").tolist()
        if failure is not None:
            raise failure
        if not counts.any() or (single and beyond):
            return None
        return Totals(counts, ignored, beyond, non_finite)


def _most_confident(rows: Rows, count: int) -> Rows:
    return rows.take(rows.confidence.topk(min(count, len(rows.confidence))).indices)


def _concatenate(before: Rows | None, rows: Rows) -> Rows:
    if before is None:
        return Rows(*(part.clone() for part in rows))
    if before.images.shape[1:] != rows.images.shape[1:]:
        raise ValueError(
            f"expected inputs of one size to show, got {tuple(before.images.shape[1:])} "
            f"and {tuple(rows.images.shape[1:])}"
        )
    return Rows(*(torch.cat(parts) for parts in zip(before, rows, strict=True)))
