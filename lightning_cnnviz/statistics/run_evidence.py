"""The evidence of a run as it grows, read from the device only where it is asked for."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.look import Look
from lightning_cnnviz.functional.diagnosis.score_look import ScoreLook
from lightning_cnnviz.functional.diagnosis.setup import Setup
from lightning_cnnviz.model.loss_facts import GraphFacts, LossFacts
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.sample_hashes import SampleHashes
from lightning_cnnviz.statistics.score_looks import ScoreLooks

MAX_LOSSES = 2000
"""Losses that are kept: the first half and the last half of them."""
MAX_LOOKS = 400
"""Looks that are kept of each kind, likewise."""
MAX_WAITING = 64
"""Batches whose scores wait on the device."""


class RunEvidence:
    """Collects what is measured of a run.

    Args:
        setup: What is known before the first step.
        training_samples: Samples of the training data; 0 if not known.

    Example:
        >>> run = RunEvidence(Setup(), training_samples=0)
        >>> run.add_loss(torch.tensor(2.5), step=1)
        >>> run.evidence(step=1).losses.tolist()
        [2.5]
    """

    def __init__(self, setup: Setup, training_samples: float) -> None:
        self._known = Evidence(setup)
        self._training_samples = training_samples
        self._losses: list[Tensor | float] = []
        self._loss_steps: list[int] = []
        self._scores, self._validation = ScoreLooks(), ScoreLooks()
        self._hashes = SampleHashes()
        self.known_loss = False
        """Whether the loss functions have been told."""

    def add_loss(self, loss: Tensor | float, step: int) -> None:
        """Takes the loss of a batch, a scalar, at an optimizer step."""
        self._losses.append(loss)
        self._loss_steps.append(step)
        if len(self._losses) >= MAX_LOSSES:
            self._read_losses()

    def add_graph(self, losses: list[LossFacts], graph: GraphFacts | None) -> None:
        """Takes what the graph of a loss has told."""
        self.known_loss = True
        self._known.loss_facts, self._known.graph = losses, graph

    def add_scores(self, batch: ScoredBatch, step: int) -> None:
        """Takes the scores of a training batch."""
        self._scores.add(batch, step)
        if self._scores.waiting >= MAX_WAITING:
            self._read_scores()
        if self._training_samples:
            self._hashes.add(batch.inputs, "train")

    def add_validation(self, batch: ScoredBatch, step: int) -> None:
        """Takes the scores of a batch of a validation."""
        self._validation.add(batch, step)
        if self._training_samples and not self._known.validations:
            self._hashes.add(batch.inputs, "val")

    def end_validation(self, step: int = 0, loss: float = math.nan) -> None:
        """Ends a validation at an optimizer step, with the loss that the module has logged, if there is one."""
        if not math.isnan(loss):
            self._known.validation_losses = [*self._known.validation_losses, (step, loss)]
        if looks := self._validation.read():
            self._known.validations = [*self._known.validations, ScoreLook.sum_of(looks)]

    def add_look(self, look: Look) -> None:
        """Takes a step that was looked at."""
        self._known.looks = _ends([*self._known.looks, look], MAX_LOOKS)

    def add_non_finite(self, found: dict[str, Any]) -> None:
        """Takes what was found where the loss first became NaN or infinite."""
        self._known.non_finite = found

    @property
    def setup(self) -> Setup:
        """What was known before the first step."""
        return self._known.setup

    @property
    def is_finite(self) -> bool:
        """Whether no loss was found to be NaN or infinite."""
        return not self._known.non_finite

    def evidence(self, step: int) -> Evidence:
        """Returns all evidence so far, after so many optimizer steps."""
        known = self._known
        self._read_losses()
        self._read_scores()
        known.leaked = self._hashes.shared(self._training_samples) if self._training_samples else math.nan
        return replace(known, step=step)

    def _read_scores(self) -> None:
        self._known.scores = _ends([*self._known.scores, *self._scores.read()], MAX_LOOKS)

    def _read_losses(self) -> None:
        if self._losses:
            tensors = [loss.reshape(()) for loss in self._losses if isinstance(loss, Tensor)]
            read = iter(torch.stack(tensors).tolist() if tensors else [])  # at once
            new = [next(read) if isinstance(loss, Tensor) else loss for loss in self._losses]
            self._known.losses = np.array(_ends([*self._known.losses, *new], MAX_LOSSES))
            self._known.loss_steps = np.array(_ends([*self._known.loss_steps, *self._loss_steps], MAX_LOSSES))
            self._losses.clear()
            self._loss_steps.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_losses": [], "_loss_steps": []}


def _ends(items: list[Any], most: int) -> list[Any]:
    return items if len(items) <= most else [*items[: most // 2], *items[-(most // 2) :]]
