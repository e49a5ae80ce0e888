"""What a classifier takes for what, counted on the device as the batches pass by."""

from typing import NamedTuple

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from lightning_cnnviz.batch import are_scores, confidences, predicted_classes
from lightning_cnnviz.listener import Heard
from lightning_cnnviz.waiting import Waiting

MOST_CLASSES = 4096
"""Their counts take 128 MiB."""


class Rows(NamedTuple):
    """Samples and what the model took them for; each has one row per sample.

    Attributes:
        images: Shape (samples, ...), as the model takes them.
        true: Class numbers.
        predicted: Class numbers.
        confidence: Probability of the predicted class, 0…1.
    """

    images: Tensor
    true: Tensor
    predicted: Tensor
    confidence: Tensor

    def take(self, which: Tensor | slice) -> "Rows":
        """Some of the rows."""
        return Rows(*(part[which if isinstance(which, slice) else which.to(part.device)] for part in self))


class Totals(NamedTuple):
    """Sums over all ranks, on the CPU.

    Attributes:
        counts: Shape (classes, classes): how many samples of a class (row) were taken for which (column).
        ignored: Samples whose target is negative (as an `ignore_index` is).
        beyond: Samples whose target is no class of the model.
        unsure: Samples whose confidence can't be told, since scores are not finite.
    """

    counts: Tensor
    ignored: int
    beyond: int
    unsure: int


class ClassTally:
    """Counts true and predicted classes and keeps the most confident mistakes; nothing is waited for.

    Args:
        max_mistakes: Mistakes to keep.
        max_samples: First samples to keep.

    Example:
        >>> tally = ClassTally(max_mistakes=1, max_samples=2)
        >>> scores = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
        >>> tally.add(Heard(torch.rand(3, 1, 8, 8), torch.tensor([0, 0, 0]), scores))
        >>> tally.counts
        tensor([[2, 1],
                [0, 0]])
    """

    def __init__(self, max_mistakes: int, max_samples: int) -> None:
        self.classes = 0
        """Outputs of the model; 0 as long as none were heard."""
        self._max_mistakes = max_mistakes
        self._max_samples = max_samples
        self._single_output = False
        self._cells = torch.zeros(1, dtype=torch.int64)  # one per pair of classes, and one for all that is no pair
        self._others = torch.zeros(3, dtype=torch.int64)
        self._samples: Rows | None = None
        self._mistakes: Rows | None = None
        self._waiting = Waiting(self._read)
        self._size: torch.Size | None = None

    @property
    def counts(self) -> Tensor:
        """Shape (classes, classes), int64, on the device: rows are the true classes, columns the predicted ones."""
        self._waiting.read()
        return self._cells[:-1].reshape(self.classes, self.classes)

    @property
    def samples(self) -> Rows | None:
        """The first samples, on the device."""
        self._waiting.read()
        return self._samples

    @property
    def mistakes(self) -> Rows | None:
        """The most confident mistakes, on the device, the surest first."""
        self._waiting.read()
        if self._mistakes is None:
            return None
        return self._mistakes.take(self._mistakes.confidence >= 0)

    def add(self, heard: Heard) -> None:
        """Counts a batch; one whose scores are no classifier's is passed over.

        Raises:
            ValueError: If there are too many classes for a matrix, another number of them than before, or the
                inputs are of another size than before; the latter are counted all the same.
        """
        if not len(heard.targets) or not are_scores(heard.scores, len(heard.targets)):
            return
        self._begin(heard.scores)
        self._size = self._size or heard.inputs.shape[1:]
        tensors = [heard.inputs, heard.targets, heard.scores, *([] if heard.logits is None else [heard.logits])]
        if heard.inputs.shape[1:] != self._size or not self._waiting.add(tensors):
            self._waiting.read()
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
        self._others += torch.stack([ignored.sum(), beyond.sum(), known.logical_not().sum()])
        wrong = (predicted != true) & known & ~ignored & ~beyond
        self._keep(Rows(images, true, predicted, confidence), wrong)

    def _begin(self, scores: Tensor) -> None:
        width = 1 if scores.ndim == 1 else scores.shape[1]
        classes = max(2, width)
        if classes > MOST_CLASSES:
            raise ValueError(f"expected at most {MOST_CLASSES} classes for a matrix of them, got {classes}")
        if not self.classes:
            self.classes, self._single_output = classes, width == 1
            self._cells = torch.zeros(classes**2 + 1, dtype=torch.int64, device=scores.device)
            self._others = torch.zeros(3, dtype=torch.int64, device=scores.device)
        if classes != self.classes:
            raise ValueError(f"expected scores of {self.classes} classes as before, got {classes}")

    def _keep(self, rows: Rows, wrong: Tensor) -> None:
        room = self._max_samples - (0 if self._samples is None else len(self._samples.true))
        if room:
            self._samples = _together(self._samples, rows.take(slice(room)))
        ranked = rows._replace(confidence=torch.where(wrong, rows.confidence, -1.0))
        both = _together(self._mistakes, _surest(ranked, self._max_mistakes))
        self._mistakes = _surest(both, self._max_mistakes)

    def totals(self, strategy: Strategy) -> Totals | None:
        """The sums over all ranks (every rank has to call this); None if there is nothing to report.

        A single output with other targets than 0 and 1 is no classifier's, but, say, an age.
        """
        failure = None
        try:
            self._waiting.read()
        except Exception as error:  # the other ranks wait for this one
            failure = error
        device = strategy.root_device
        facts = torch.tensor([self.classes, int(self._single_output)], device=device)
        classes, single = strategy.reduce(facts, reduce_op="max").tolist()
        if not classes:
            return None
        counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        counts[: self.classes, : self.classes] = self._cells[:-1].reshape(self.classes, self.classes)
        counts = strategy.reduce(counts, reduce_op="sum").cpu()
        ignored, beyond, unsure = strategy.reduce(self._others.to(device, copy=True), reduce_op="sum").tolist()
        if failure is not None:
            raise failure
        if not counts.any() or (single and beyond):
            return None
        return Totals(counts, ignored, beyond, unsure)


def _surest(rows: Rows, count: int) -> Rows:
    return rows.take(rows.confidence.topk(min(count, len(rows.confidence))).indices)


def _together(before: Rows | None, rows: Rows) -> Rows:
    if before is None:
        return Rows(*(part.clone() for part in rows))
    if before.images.shape[1:] != rows.images.shape[1:]:
        raise ValueError(
            f"expected inputs of one size to show, got {tuple(before.images.shape[1:])} "
            f"and {tuple(rows.images.shape[1:])}"
        )
    return Rows(*(torch.cat(parts) for parts in zip(before, rows, strict=True)))
