"""Hears which samples a dataloader's sampler chooses, without changing their order or any random state."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from lightning_cnnviz.data.sample_numbers import SampleNumbers, UnknownSamplesError, sample_count

ATTRIBUTE = "batch_sampler"
"""Attribute of a dataloader which its iterators read as they begin."""
METHOD = "process_dataloader"
"""Method of a strategy that is given each dataloader before an iterator of it begins."""
OWN = "heard by lightning_cnnviz"
"""Key under which a listening batch sampler keeps what it has itself; no name that an attribute can have."""


class SamplerListener:
    """Notes what a dataloader's batch sampler yields to the iterators that begin while it listens.

    The dataloader has another batch sampler meanwhile, which passes on what the user's own one yields, as it is asked
    for; copies of the dataloader have the user's own.

    Example:
        >>> loader = DataLoader(list(range(5)), batch_size=2, shuffle=True)
        >>> own, listener = loader.batch_sampler, SamplerListener()
        >>> listener.attach(loader)
        >>> batches = iter(loader)
        >>> listener.detach()
        >>> loader.batch_sampler is own, next(batches).tolist() == listener.numbers().of(0, 2).tolist()
        (True, True)
    """

    def __init__(self) -> None:
        self._attached: tuple[DataLoader[Any], Any] | None = None
        self._heard: list[Sequence[int]] = []
        self._watched: Any = None

    @property
    def attached(self) -> bool:
        """Whether a dataloader has the listening batch sampler now."""
        return self._attached is not None

    def watch(self, trainer: Trainer) -> None:
        """Listens to the training's dataloader as soon as there is one: its first iterator begins before any hook."""
        if self._watched is None and METHOD not in vars(trainer.strategy):
            self._watched = trainer.strategy
            process: Callable[[Any], Any] = getattr(self._watched, METHOD)

            def heard(loader: Any) -> Any:
                processed = process(loader)
                if trainer.training:
                    self.attach(processed)
                return processed

            vars(self._watched)[METHOD] = heard

    def attach(self, loader: Any) -> None:
        """Starts listening to iterators that begin from now on, if the dataloader is one that can be listened to."""
        try:
            sample_count(loader)
        except UnknownSamplesError:
            return
        if self._attached is None or self._attached[0] is not loader:
            self.detach()
            self._attached = loader, vars(loader)[ATTRIBUTE]
            vars(loader)[ATTRIBUTE] = _Heard(self._attached[1], self)  # `setattr` is forbidden there

    def detach(self) -> None:
        """Gives the dataloader its own batch sampler back; what has begun is still listened to."""
        if self._watched is not None:
            strategy, self._watched = self._watched, None
            vars(strategy).pop(METHOD, None)
        if self._attached is not None:
            (loader, sampler), self._attached = self._attached, None
            vars(loader)[ATTRIBUTE] = sampler

    def numbers(self) -> SampleNumbers:
        """Returns the numbers of the samples in the batches of the iterator that has begun last."""
        return SampleNumbers(iter(self._heard))

    def forget(self) -> None:
        """Forgets what was heard, as a pass has ended."""
        self._heard = []

    def begin(self, batches: Iterator[Sequence[int]]) -> Iterator[Sequence[int]]:
        """Passes on what a batch sampler yields, and notes it."""
        self._heard = heard = list[Sequence[int]]()
        return _noted(batches, heard)

    def __getstate__(self) -> dict[str, Any]:
        return {"_attached": None, "_heard": [], "_watched": None}


def _noted(batches: Iterator[Sequence[int]], heard: list[Sequence[int]]) -> Iterator[Sequence[int]]:
    for batch in batches:
        heard.append(batch)
        yield batch


class _Heard:
    """A batch sampler that can only be told from the one in whose place it is by the type of its iterators."""

    def __init__(self, sampler: Any, listener: SamplerListener) -> None:
        vars(self)[OWN] = sampler, listener

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(vars(self)[OWN][0])

    def __iter__(self) -> Iterator[Sequence[int]]:
        sampler, listener = vars(self)[OWN]
        found: Iterator[Sequence[int]] = listener.begin(iter(sampler))
        return found

    def __len__(self) -> int:
        return len(vars(self)[OWN][0])

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)[OWN][0], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)[OWN][0], name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _itself, (vars(self)[OWN][0],)


def _itself(value: Any) -> Any:
    return value
