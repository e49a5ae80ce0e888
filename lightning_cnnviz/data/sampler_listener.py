"""Hears which samples a dataloader's sampler chooses, without changing their order or any random state."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from lightning_cnnviz.data.sample_numbers import SampleNumbers, UnknownSamplesError, sample_count
from lightning_cnnviz.lightning import running_hook

ATTRIBUTE = "batch_sampler"
"""Attribute of a dataloader which its iterators read as they begin."""
METHOD = "process_dataloader"
"""Method of a strategy that is given each dataloader before an iterator of it begins."""
OWN = "heard by lightning_cnnviz"
"""Key under which a listening batch sampler keeps what it has itself; no name that an attribute can have."""


class SamplerListener:
    """Notes what a dataloader's batch sampler yields to the iterators that begin while it listens.

    The dataloader has another batch sampler meanwhile, which passes on what the user's own one yields, as it is asked
    for; copies of the dataloader have the user's own. In a fit, the training's own iterators begin between hooks;
    those that begin in a hook are of others, such as a callback that looks at the data, and are not listened to.

    Example:
        >>> loader = DataLoader(list(range(5)), batch_size=2, shuffle=True)
        >>> own, listener = loader.batch_sampler, SamplerListener()
        >>> listener.attach(loader)
        >>> batches = iter(loader)
        >>> listener.detach()
        >>> loader.batch_sampler is own, next(batches).tolist() == list(listener.numbers().of(0, 2))
        (True, True)
    """

    def __init__(self) -> None:
        self._attached: tuple[DataLoader[Any], Any] | None = None
        self._heard: list[Sequence[int]] = []
        self._watched: Any = None
        self._run: Trainer | None = None
        self._hook: str | None = None  # in which the training's own iterator begins

    @property
    def attached(self) -> bool:
        """Whether a dataloader has the listening batch sampler now."""
        return self._attached is not None

    @classmethod
    def watching(cls, trainer: Trainer) -> "SamplerListener":
        """Returns the trainer's listener, which listens to the training's dataloader as soon as there is one.

        Its first iterator begins as soon, before any hook or, where a learning rate is looked for, in one.
        """
        found = vars(trainer.strategy).get(METHOD)
        if isinstance(found, _Watched):
            return found.listener
        listener = cls()
        listener._watched, listener._run = trainer.strategy, trainer
        vars(trainer.strategy)[METHOD] = _Watched(listener, getattr(trainer.strategy, METHOD), trainer)
        return listener

    def attach(self, loader: Any, hook: str | None = None) -> None:
        """Starts listening to iterators that begin from now on, if the dataloader is one that can be listened to.

        Args:
            loader: The training's dataloader.
            hook: The hook of Lightning in which the training's own iterator begins; None: in no hook.
        """
        self._hook = hook
        try:
            sample_count(loader)
        except UnknownSamplesError:
            return
        if self._attached is None or self._attached[0] is not loader:
            self.detach()
            self._attached = loader, vars(loader)[ATTRIBUTE]
            vars(loader)[ATTRIBUTE] = _Heard(
                self._attached[1], self, loader.persistent_workers
            )  # `setattr` is forbidden there

    def detach(self) -> None:
        """Gives the dataloader its own batch sampler back; what has begun is still listened to."""
        if self._watched is not None:
            strategy, self._watched = self._watched, None
            vars(strategy).pop(METHOD, None)
        if self._attached is not None:
            (loader, sampler), self._attached = self._attached, None
            vars(loader)[ATTRIBUTE] = sampler

    def numbers(self, first: int = 0) -> SampleNumbers:
        """Returns the numbers of the samples in the batches of the iterator that has begun last.

        Args:
            first: Number of its first batch.
        """
        return SampleNumbers(iter(self._heard), first)

    def forget(self) -> None:
        """Forgets what was heard, as a pass has ended."""
        self._heard = []

    def begin(self, batches: Iterator[Sequence[int]], shared: bool = False) -> Iterator[Sequence[int]]:
        """Passes on what a batch sampler yields, and notes it if this is for the training's own iterator.

        Args:
            batches: What it yields.
            shared: Whether the dataloader has one iterator for all, which each of them begins anew.
        """
        if self._run is not None and running_hook(self._run) != self._hook:
            if shared:
                self._heard.clear()  # the training goes on in the other order
            return batches
        self._heard = heard = list[Sequence[int]]()
        return _noted(batches, heard)

    def __getstate__(self) -> dict[str, Any]:
        return {"_attached": None, "_heard": [], "_watched": None, "_run": None, "_hook": None}


def _noted(batches: Iterator[Sequence[int]], heard: list[Sequence[int]]) -> Iterator[Sequence[int]]:
    for batch in batches:
        heard.append(batch)
        yield batch


class _Watched:
    """A strategy's method that is given each dataloader, and tells a listener of the training's."""

    def __init__(self, listener: SamplerListener, process: Callable[[Any], Any], trainer: Trainer) -> None:
        self.listener = listener
        self._process = process
        self._run = trainer

    def __call__(self, loader: Any) -> Any:
        processed = self._process(loader)
        if self._run.training:
            self.listener.attach(processed, running_hook(self._run))
        return processed


class _Heard:
    """A batch sampler that can only be told from the one in whose place it is by the type of its iterators."""

    def __init__(self, sampler: Any, listener: SamplerListener, shared: bool) -> None:
        vars(self)[OWN] = sampler, listener, shared

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(vars(self)[OWN][0])

    def __iter__(self) -> Iterator[Sequence[int]]:
        sampler, listener, shared = vars(self)[OWN]
        found: Iterator[Sequence[int]] = listener.begin(iter(sampler), shared)
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
