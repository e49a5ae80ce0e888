"""Optimizer steps that the user's code makes past Lightning, whose hooks miss them."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


class RawSteps:
    """Calls a function before each step of an optimizer that Lightning does not announce.

    Such steps come from `self.optimizers(use_pl_optimizer=False)`. Which optimizers are used like this shows after
    their first step, which is therefore missed.

    Args:
        optimizers: The optimizers to watch.
        callback: Called with the optimizer.

    Example:
        >>> import torch
        >>> optimizer, seen = torch.optim.SGD([torch.zeros(1, requires_grad=True)]), []
        >>> steps = RawSteps([optimizer], lambda optimizer: seen.append(optimizer))
        >>> for _ in range(3):
        ...     optimizer.step()
        >>> steps.close()
        >>> len(seen)
        2
    """

    def __init__(self, optimizers: Sequence[Optimizer], callback: Callable[[Optimizer], None]) -> None:
        self._callback = callback
        self._announced: set[int] = set()
        self._raw: set[int] = set()
        self._handles: list[RemovableHandle] = []
        for optimizer in optimizers:
            self._handles += [
                optimizer.register_step_pre_hook(self._before_step),
                optimizer.register_step_post_hook(self._after_step),
            ]

    def announce(self, optimizer: Optimizer) -> None:
        """Says that Lightning has announced the step of an optimizer."""
        self._announced.add(id(optimizer))
        self._raw.discard(id(optimizer))

    def close(self) -> None:
        """Stops watching."""
        for handle in self._handles:
            handle.remove()

    def _before_step(self, optimizer: Optimizer, args: Any, options: Any) -> None:
        if id(optimizer) in self._raw:
            self._callback(optimizer)

    def _after_step(self, optimizer: Optimizer, args: Any, options: Any) -> None:
        if id(optimizer) not in self._announced:
            self._raw.add(id(optimizer))
        self._announced.discard(id(optimizer))
