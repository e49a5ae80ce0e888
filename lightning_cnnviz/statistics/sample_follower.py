"""The samples of one split, followed from pass to pass."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pytorch_lightning.strategies import Strategy
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_cnnviz.data.datasets import known_targets
from lightning_cnnviz.data.sample_numbers import (
    Classes,
    SampleNumbers,
    UnknownSamplesError,
    collates_in_order,
    followed_loader,
    order_is_kept,
    order_is_lost,
    repeated_batches,
    sample_count,
)
from lightning_cnnviz.functional.sample_history.dynamics import (
    Order,
    RunningDynamics,
    SampleDynamics,
    SamplePass,
    rank_samples,
)
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.pass_scores import PassScores
from lightning_cnnviz.statistics.thumbnails import Thumbnails

ORDERS: tuple[Order, ...] = ("mislabelled", "forgotten", "hardest")
NO_SCORES = (
    "no class scores of shape (samples, classes) and class indices were heard; if a layer outputs the scores, name it "
    'with layers="..."'
)
NOT_FINITE = "the class scores are not finite (NaN or infinite)"
REORDERED = "their collate_fn may change the order in a batch, and their dataset has no targets to tell"
WITNESSED = "witnessed"
"""Key of a checkpoint under which there is whether the samples are known to keep their numbers."""
SPARE = 3
"""Images are kept of so many times as many samples as are shown, since ranks change until the next pass ends."""


class SampleFollower:
    """Follows the samples of one split.

    Args:
        split: `"train"` or `"val"`.
        shown: Number of samples that each ranking shows.
        witnesses: Functions that have been seen to put batches together in the sampler's order; those of this split
            are added.

    Example:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> follower = SampleFollower("val", shown=2)
        >>> loader = DataLoader(TensorDataset(torch.rand(3, 1, 8, 8)), batch_size=2)
        >>> follower.begin(loader, SampleNumbers(iter([[2, 0]])))
        >>> images, scores = torch.rand(2, 1, 8, 8), torch.tensor([[1.0, 0.0], [0.0, 3.0]])
        >>> follower.add(0, ScoredBatch(images, torch.tensor([0, 0]), scores))
        >>> follower.end(epoch=1)
        >>> follower.known().area_under_margin.tolist()
        [-3.0, nan, 1.0]
    """

    def __init__(self, split: str, shown: int, witnesses: list[Any] | None = None) -> None:
        self.split = split
        self.refused = ""
        """Why the samples are not followed any more; empty if they are."""
        self.withdrawn = False
        """Whether something was known before that."""
        self.untold = ""
        """Why the pass that has ended last has told nothing; empty if it has."""
        self.classes = 0
        """Number of classes of the model; 0 before the first pass has ended."""
        self.last: SamplePass | None = None
        """The pass that has ended last."""
        self._shown = shown
        self._own: Classes | None = None  # class of each sample in the dataset, until the first pass has ended
        self._collate: Any = None  # what puts the batches together, if that may change their order
        self._witnesses = [] if witnesses is None else witnesses
        self._witnessed = False  # whether batches are known to hold their samples in the sampler's order
        self._order: list[int] = []  # of the samples in the first pass, until then
        self._passing: list[int] = []  # in this pass, likewise
        self._running: RunningDynamics | None = None
        self._samples = 0
        self._scores = PassScores()
        self._numbers: SampleNumbers | None = None
        self._forget()

    def _forget(self) -> None:
        self.thumbnails = Thumbnails(SPARE * self._shown * len(ORDERS))
        self.last = self._running = None
        self._scores.clear()

    @property
    def open(self) -> bool:
        """Whether a pass has begun and not ended."""
        return self._numbers is not None

    def known(self) -> SampleDynamics | None:
        """Returns what the passes so far have told; None before the first has ended, or where they may be mixed up."""
        return self._running.dynamics() if self._running is not None and self._witnessed else None

    def begin(self, loaders: Any, numbers: SampleNumbers | None = None) -> None:
        """Begins a pass, unless it is not known which samples the batches hold.

        Args:
            loaders: The split's dataloader, or several.
            numbers: Those of the batches that will go by. Default: in the dataloader's own order, if that is fixed.
        """
        self._scores.clear()
        if self.refused:
            return
        try:
            loader = followed_loader(loaders, several=self.split == "val")
            self._samples = sample_count(loader)
            if self._running is not None and len(self._running) != self._samples:
                raise UnknownSamplesError(f"of {len(self._running)} samples there are now {self._samples}")
            self._numbers = SampleNumbers(repeated_batches(loader)) if numbers is None else numbers
            self._own = known_targets(loader.dataset) if self._running is None else None
            self._collate = None if collates_in_order(loader) else loader.collate_fn
            self._witnessed |= self._collate is None or self._collate in self._witnesses
            self._passing = []
        except UnknownSamplesError as error:
            self.refuse(str(error))

    def refuse(self, reason: str) -> None:
        """Follows no more samples, forgets what was known, and says so in one line."""
        if not self.refused:
            self.refused, self.withdrawn = reason, self.known() is not None
            self._forget()
            rank_zero_info(f"SampleHistory: the samples of {self.split!r} are not followed: {reason}")

    def add(self, batch_idx: int, batch: ScoredBatch) -> None:
        """Takes a batch.

        Args:
            batch_idx: Its number in the pass.
            batch: Its inputs, class indices and scores.
        """
        if self._numbers is None or self.refused:
            return
        numbers = self._numbers.of(batch_idx, len(batch.targets))
        if numbers is None:
            self.refuse(f"the sampler has not told which {len(batch.targets)} samples batch {batch_idx} holds")
        else:
            self._scores.add(numbers, batch)
            if not self._witnessed:
                self._passing += map(int, numbers)
            self.thumbnails.add(numbers, batch.inputs)

    def drop(self) -> None:
        """Discards the pass so far, in which something else was taken for the classes."""
        self._scores.clear()

    def end(self, epoch: int, strategy: Strategy | None = None) -> None:
        """Ends the pass; with several processes each must call this.

        Args:
            epoch: Its number, from 1.
            strategy: Of the trainer, where there are several processes.
        """
        self._numbers = None
        if strategy is not None:
            refused = torch.tensor(float(bool(self.refused)), device=strategy.root_device)
            if strategy.reduce(refused, reduce_op="max"):
                self.refuse("another process does not know its samples")
        if self.refused:
            return
        found = self._scores.end(self._samples, strategy)
        self.untold = "" if found is not None else NO_SCORES if self._scores.finite else NOT_FINITE
        if found is None:
            return
        own, self._own = self._own, None
        seen = np.flatnonzero(found.seen)
        if own is not None and len(own) == self._samples and order_is_lost(own[seen], found.targets[seen]):
            self.refuse("batches hold their samples in another order than the sampler; does a collate_fn sort them?")
            return
        again = self._running is not None
        running = RunningDynamics(self._samples) if self._running is None else self._running
        try:
            running.add(found, epoch)
        except ValueError as error:
            self.refuse(str(error))
            return
        self._running, self.last = running, found
        if not self._witnessed:
            kept = own is not None and len(own) == self._samples and order_is_kept(own[seen], found.targets[seen])
            self._look_for_witness(again, kept)
        if self.refused:
            return
        self.classes = self._scores.classes
        self.thumbnails.want(self._most_wanted(running.dynamics()))

    def _look_for_witness(self, again: bool, kept: bool) -> None:
        """Looks whether samples keep their numbers though their `collate_fn` may put them in another order.

        Args:
            again: Whether this is another pass than the first, in which all samples had the classes of before.
            kept: Whether the dataset's own classes show it.
        """
        before = self._order if again else []
        self._witnessed = kept or (bool(before) and self._passing != before)
        if self._witnessed:
            self._witnesses.append(self._collate)
        elif before:
            self.refuse(f"{REORDERED}, and each pass has the same order")
        else:
            self._order = self._passing
            rank_zero_info(
                f"SampleHistory: the samples of {self.split!r} are shown as soon as a second pass, in another order, "
                f"has confirmed their numbers: {REORDERED}"
            )
        if self._witnessed or self.refused:
            self._order = self._passing = []

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what the passes have told, name → tensor."""
        if self._running is None:
            return {}
        arrays = {name: torch.from_numpy(part) for name, part in self._running.arrays().items()}
        return {**arrays, WITNESSED: torch.tensor(self._witnessed)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what `state_dict` has returned."""
        arrays = {name: part.numpy() for name, part in state.items() if name != WITNESSED}
        self._witnessed = bool(state.get(WITNESSED, False))
        self._running = RunningDynamics.from_arrays(arrays) if arrays else None

    def _most_wanted(self, known: SampleDynamics) -> list[int]:
        """Samples that stand out, in turn from each ranking."""
        rankings = [rank_samples(known, order, SPARE * self._shown) for order in ORDERS]
        longest = max(map(len, rankings))
        return [int(ranking[place]) for place in range(longest) for ranking in rankings if place < len(ranking)]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_numbers": None}
