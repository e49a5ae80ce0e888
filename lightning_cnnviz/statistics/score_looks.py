"""Predictions, losses and inputs of single batches, kept on the device until they are read."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lightning_cnnviz.data.scores import are_scores
from lightning_cnnviz.functional.diagnosis.evidence import ScoreLook
from lightning_cnnviz.model.score_listener import ScoredBatch


class ScoreLooks:
    """Collects batches; only `read` synchronises with the device.

    Example:
        >>> looks = ScoreLooks()
        >>> scores = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
        >>> looks.add(ScoredBatch(torch.ones(2, 1, 4, 4), torch.tensor([0, 2]), scores), step=7)
        >>> look = looks.read()[0]
        >>> look.accuracy, look.ranks.tolist(), look.means.tolist()
        (0.5, [nan, 1.0], [1.0])
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Tensor, Tensor]] = []

    def clear(self) -> None:
        """Forgets what was not read."""
        self._waiting.clear()

    def add(self, batch: ScoredBatch, step: int) -> None:
        """Takes a batch; one without class scores is left out."""
        scores, true = batch.scores.detach(), batch.targets
        if not len(true) or not are_scores(scores, len(true)) or scores.ndim > 2:
            return
        logarithms = _log_probabilities(scores.float(), batch.logits)
        classes = logarithms.shape[1]
        counted = (true >= 0) & (true < classes)
        place = true.clamp(0, classes - 1).long()[:, None]
        own = logarithms.gather(1, place)
        predicted = logarithms.argmax(dim=1)
        above = (logarithms > own).sum(dim=1)
        rank = (above - 1).clamp(min=0) / max(classes - 2, 1)
        wrong = (predicted != place[:, 0]) & (classes > 2)
        rank = torch.where(wrong, rank, torch.nan)
        facts = torch.stack([torch.where(counted, true, -1).to(rank), predicted.to(rank), -own[:, 0], rank])
        self._waiting.append((step, classes, facts, _of_channels(batch.inputs)))

    def read(self) -> list[ScoreLook]:
        """Returns the batches since the last call."""
        waiting, self._waiting = self._waiting, []
        return [
            _look(step, classes, facts.double().cpu().numpy(), channels.double().cpu().numpy())
            for step, classes, facts, channels in waiting
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {"_waiting": []}


def _look(step: int, classes: int, facts: Any, channels: Any) -> ScoreLook:
    true, predicted, losses, ranks = facts[:, facts[0] >= 0]
    means, deviations = channels[:, :-1]
    whole = true.astype(np.int64), predicted.astype(np.int64)
    return ScoreLook(step, classes, *whole, losses, ranks, means, deviations, float(channels[0, -1]))


def _log_probabilities(scores: Tensor, logits: Tensor | None) -> Tensor:
    """Logarithms of the probabilities, shape (samples, classes), of logits or of what already are probabilities."""
    if logits is not None:
        scores = scores.reshape(len(scores))
        of_logits = torch.stack([functional.logsigmoid(-scores), functional.logsigmoid(scores)], dim=1)
        shares = scores.clamp(1e-12, 1 - 1e-7)
        return torch.where(logits, of_logits, torch.stack([(1 - shares).log(), shares.log()], dim=1))
    are_shares = (scores >= 0).all() & ((scores.sum(dim=1) - 1).abs() < 1e-3).all()
    return torch.where(are_shares, scores.clamp(min=1e-12).log(), scores.log_softmax(dim=1))


def _of_channels(inputs: Tensor) -> Tensor:
    """Mean and deviation of each channel, and in a last column the roughness; shape (2, channels + 1)."""
    values = inputs.detach()
    values = values.float() if not values.is_complex() else values.abs()
    if values.ndim < 3 or not 1 <= values.shape[1] <= 16:
        values = values.reshape(1, 1, -1)
    others = [dimension for dimension in range(values.ndim) if dimension != 1]
    variance, mean = torch.var_mean(values, others, unbiased=False)
    rough = values.diff(dim=-1).abs().mean() / variance.mean().sqrt()
    return torch.cat([torch.stack([mean, variance.sqrt()]), rough.expand(2, 1)], dim=1)
