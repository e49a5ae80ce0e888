"""Predictions, losses and inputs of single batches, kept on the device until they are read."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lightning_cnnviz.data.scores import are_scores
from lightning_cnnviz.functional.diagnosis.score_look import ScoreLook
from lightning_cnnviz.model.score_listener import ScoredBatch

MAX_SCORES = 2**18
"""Scores of a batch that are kept, those of its first samples."""
MAX_INPUTS = 16
"""Samples of a batch whose inputs are described, at even distances."""
MAX_VALUES = 2**16
"""Values of these that are read: some rows of large images, at even distances."""


class _Waiting(NamedTuple):
    step: int
    scores: Tensor
    true: Tensor
    logits: Tensor | None
    inputs: Tensor


class ScoreLooks:
    """Collects batches; only `read` synchronises with the device.

    Example:
        >>> import torch
        >>> looks = ScoreLooks()
        >>> scores = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
        >>> looks.add(ScoredBatch(torch.ones(2, 1, 4, 4), torch.tensor([0, 2]), scores), step=7)
        >>> look = looks.read()[0]
        >>> look.accuracy, look.ranks.tolist(), look.means.tolist()
        (0.5, [nan, 1.0], [1.0])
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        """Number of batches since the last `read`."""
        return len(self._waiting)

    def add(self, batch: ScoredBatch, step: int) -> None:
        """Takes a batch; one without class scores is left out."""
        scores, true = batch.scores.detach(), batch.targets
        if not len(true) or not are_scores(scores, len(true)) or scores.ndim > 2:
            return
        rows = max(MAX_SCORES // scores[0].numel(), 1)
        kept = scores[:rows].clone(), true[:rows].clone()  # which the module may change later
        self._waiting.append(_Waiting(step, *kept, batch.logits, _some_inputs(batch.inputs)))

    def read(self) -> list[ScoreLook]:
        """Returns the batches since the last call."""
        waiting, self._waiting = self._waiting, []
        return [_look(one) for one in waiting]

    def __getstate__(self) -> dict[str, Any]:
        return {"_waiting": []}


Array = npt.NDArray[np.float64]


def _look(waiting: _Waiting) -> ScoreLook:
    logits = None if waiting.logits is None else bool(waiting.logits)
    with np.errstate(all="ignore"):  # scores may be NaN or infinite
        logarithms = _log_probabilities(waiting.scores.double().cpu().numpy(), logits)
        true = waiting.true.cpu().numpy().astype(np.int64)
        classes = logarithms.shape[1]
        counted = (true >= 0) & (true < classes)
        logarithms, true = logarithms[counted], true[counted]
        own = np.take_along_axis(logarithms, true[:, None], axis=1)
        predicted = logarithms.argmax(axis=1)
        ranks = (np.maximum((logarithms > own).sum(axis=1) - 1, 0)) / max(classes - 2, 1)
        ranks[(predicted == true) | (classes <= 2)] = math.nan
        means, deviations, roughness = _of_channels(waiting.inputs.cpu().numpy())
    return ScoreLook(waiting.step, classes, true, predicted, -own[:, 0], ranks, means, deviations, roughness)


def _log_probabilities(scores: Array, logits: bool | None) -> Array:
    """Logarithms of the probabilities, shape (samples, classes), of logits or of what already are probabilities."""
    if logits is None:
        if (scores >= 0).all() and (np.abs(scores.sum(axis=1) - 1) < 1e-3).all():
            return np.log(np.maximum(scores, 1e-12))
        shifted = scores - scores.max(axis=1, keepdims=True)
        found: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return found
    scores = scores.reshape(len(scores))
    if logits:
        return np.stack([-np.logaddexp(0, scores), -np.logaddexp(0, -scores)], axis=1)
    shares = np.clip(scores, 1e-12, 1 - 1e-7)
    return np.stack([np.log1p(-shares), np.log(shares)], axis=1)


def _some_inputs(inputs: Tensor) -> Tensor:
    """Some samples, with some of their rows, shape (samples, channels, ...); where there are no channels, 1."""
    values = inputs.detach()
    values = values[:: -(-len(values) // MAX_INPUTS)]
    values = values.abs() if values.is_complex() else values.float()
    if values.ndim < 3 or not 1 <= values.shape[1] <= 16:
        return values.reshape(1, 1, -1)[..., :MAX_VALUES].clone()
    if values.ndim > 3:
        values = values.flatten(2, -2)
        rows = max(MAX_VALUES // max(values[:, :, 0].numel(), 1), 1)
        values = values[:, :, :: -(-values.shape[2] // rows)]
    return values[..., :MAX_VALUES].clone()


def _of_channels(values: npt.NDArray[np.float32]) -> tuple[Array, Array, float]:
    """Mean and deviation of each channel, and the roughness."""
    others = tuple(dimension for dimension in range(values.ndim) if dimension != 1)
    wide = values.astype(np.float64)
    variance = wide.var(axis=others)
    in_order = values.shape[-1] > 1 and values.shape[:2] != (1, 1)  # neighbours in a table of numbers mean nothing
    rough = np.abs(np.diff(wide, axis=-1)).mean() / np.sqrt(variance.mean()) if in_order else math.nan
    return wide.mean(axis=others), np.sqrt(variance), float(rough)
