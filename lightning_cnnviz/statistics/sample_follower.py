"""The samples of one split, followed from pass to pass."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from lightning_cnnviz.data.sample_numbers import Numbers, SampleNumbers
from lightning_cnnviz.functional.sample_history.dynamics import Order, RunningDynamics, SamplePass, rank_samples
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.pass_scores import PassScores
from lightning_cnnviz.statistics.thumbnails import Thumbnails

ORDERS: tuple[Order, ...] = ("mislabelled", "forgotten", "hardest")
SPARE = 3
"""Images are kept of so many times as many samples as are shown, since ranks change until the next pass ends."""


class Reading(NamedTuple):
    """The last pass, and the classes of the model."""

    last: SamplePass
    classes: int


class SampleFollower:
    """Follows the samples of one split.

    Args:
        shown: Number of samples that each ranking shows.

    Example:
        >>> follower = SampleFollower(shown=2)
        >>> follower.begin(3, SampleNumbers(iter([[2, 0]])))
        >>> images, scores = torch.rand(2, 1, 8, 8), torch.tensor([[1.0, 0.0], [0.0, 3.0]])
        >>> follower.add(0, ScoredBatch(images, torch.tensor([0, 0]), scores))
        True
        >>> follower.end(epoch=1)
        >>> follower.dynamics.dynamics().area_under_margin.tolist()
        [-3.0, nan, 1.0]
    """

    def __init__(self, shown: int) -> None:
        self.dynamics: RunningDynamics | None = None
        """What the passes so far have told; None before the first has ended."""
        self.reading: Reading | None = None
        """The pass that has ended last."""
        self.thumbnails = Thumbnails(SPARE * shown * len(ORDERS))
        self._shown = shown
        self._samples = 0
        self._scores = PassScores()
        self._numbers: SampleNumbers | None = None

    @property
    def open(self) -> bool:
        """Whether a pass has begun and not ended."""
        return self._numbers is not None

    def begin(self, samples: int, numbers: SampleNumbers) -> None:
        """Begins a pass.

        Args:
            samples: Number of samples in the dataset.
            numbers: Those of the batches that will go by.

        Raises:
            ValueError: If the dataset had another size before.
        """
        self._scores.clear()
        if self.dynamics is not None and len(self.dynamics) != samples:
            raise ValueError(f"the dataset had {len(self.dynamics)} samples before and now has {samples}")
        self._samples, self._numbers = samples, numbers

    def add(self, batch_idx: int, batch: ScoredBatch) -> bool:
        """Takes a batch; returns whether it is known which samples it holds.

        Args:
            batch_idx: Its number in the pass.
            batch: Its inputs, class indices and scores.
        """
        assert self._numbers is not None
        numbers = self._numbers.of(batch_idx, len(batch.targets))
        if numbers is not None:
            self._scores.add(numbers, batch)
            self.thumbnails.add(numbers, batch.inputs)
        return numbers is not None

    def drop(self) -> None:
        """Discards the pass so far, in which something else was taken for the classes."""
        self._scores.clear()

    def end(self, epoch: int, strategy: Strategy | None = None) -> None:
        """Ends the pass; with several processes each must call this.

        Args:
            epoch: Its number, from 1.
            strategy: Of the trainer, where there are several processes.

        Raises:
            ValueError: If samples are not the same as before.
        """
        self._numbers = None
        found = self._scores.end(self._samples, strategy)
        if found is None:
            return
        running = RunningDynamics(self._samples) if self.dynamics is None else self.dynamics
        running.add(found, epoch)
        self.dynamics, self.reading = running, Reading(found, self._scores.classes)
        self.thumbnails.want(self._most_wanted())

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what the passes have told, name → tensor."""
        if self.dynamics is None:
            return {}
        return {name: torch.from_numpy(part) for name, part in self.dynamics.arrays().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what `state_dict` has returned."""
        arrays = {name: part.numpy() for name, part in state.items()}
        self.dynamics = RunningDynamics.from_arrays(arrays) if arrays else None

    def _most_wanted(self) -> list[int]:
        """Samples that stand out, in turn from each ranking."""
        assert self.dynamics is not None
        known = self.dynamics.dynamics()
        rankings = [rank_samples(known, order, SPARE * self._shown) for order in ORDERS]
        longest = max(map(len, rankings))
        return [int(ranking[place]) for place in range(longest) for ranking in rankings if place < len(ranking)]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_numbers": None}


def evenly(numbers: Numbers, most: int) -> Numbers:
    """Returns at most so many of the numbers, at even distances.

    Example:
        >>> evenly(np.arange(10), 3).tolist()
        [0, 4, 9]
    """
    return numbers if len(numbers) <= most else numbers[np.linspace(0, len(numbers) - 1, most).astype(np.intp)]
