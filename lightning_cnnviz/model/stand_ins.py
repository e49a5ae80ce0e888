"""What takes the place, in a copy of a model, of things that cannot be copied or must not be used."""

import copy
import io
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import MethodType
from typing import Any, NoReturn

import numpy.typing as npt

from lightning_cnnviz.errors import NotRunAgainError


class Nothing:
    """A logger or an open file, and whatever a user gets from it, that takes everything and does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *_: Any, **__: Any) -> "Nothing":
        """Does nothing."""
        return self


class OutOfReach:
    """Takes the place of an object that cannot be copied and that every use would change; using this raises an error.

    Example:
        >>> next(OutOfReach("a generator object"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        lightning_cnnviz.errors.NotRunAgainError: ... since its forward() uses a generator object, which cannot be...
    """

    def __init__(self, what: str) -> None:
        vars(self)["what"] = what

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotRunAgainError(f"its forward() uses {vars(self)['what']}, which cannot be copied")

    __iter__ = __next__ = __call__ = __enter__ = __len__ = __getitem__ = __setattr__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python itself looks for
            raise AttributeError(name)
        self._refuse()


def stand_in(value: object) -> object:
    """What takes the place of an object that cannot be copied.

    That is the object itself, as for a lock, unless using it changes it, as for a generator object or an open file.
    """
    if isinstance(value, io.IOBase):
        return value if value.closed else Nothing() if value.writable() else OutOfReach("a file that it reads")
    return OutOfReach(f"a {type(value).__name__} object") if isinstance(value, Iterator) else value


class TwinReference(weakref.ref[Any]):
    """A weak reference to the copy of what another refers to, as soon as `bind` has told it.

    Example:
        >>> from torch import nn
        >>> net, twin = nn.ReLU(), nn.Tanh()
        >>> reference = TwinReference(net)
        >>> reference.bind({id(net): twin})
        >>> reference()
        Tanh()
    """

    __slots__ = ("_twin",)

    def bind(self, twins: Mapping[int, Any]) -> None:
        """Refers to the twin from now on, if there is one."""
        target = super().__call__()
        self._twin = weakref.ref(twins.get(id(target), target))

    def __call__(self) -> Any:
        """Returns the twin, or None if it is gone."""
        return self._twin()


class TwinMethod(TwinReference):
    """Takes the place of a `weakref.WeakMethod`, created with the method's owner."""

    __slots__ = ("function",)
    function: Callable[..., Any]

    def __call__(self) -> Any:
        """Returns the twin's method, or None if the twin is gone."""
        owner = super().__call__()
        return None if owner is None else MethodType(self.function, owner)


class TwinProxy:
    """Takes the place of a `weakref.proxy`."""

    def __init__(self, reference: TwinReference) -> None:
        vars(self)["bind"], vars(self)["twin"] = reference.bind, reference

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["twin"](), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["twin"](), name, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Calls the twin."""
        return vars(self)["twin"]()(*args, **options)


def twin_reference(reference: Any) -> TwinReference | TwinProxy | None:
    """What takes the place of a weak reference, to be bound to the copy of its target; None if that is gone."""
    if type(reference) in weakref.ProxyTypes:
        try:
            return TwinProxy(TwinReference(reference.__init__.__self__))  # the object that the proxy stands for
        except ReferenceError:
            return None
    target = reference()
    if target is None:
        return None
    if isinstance(reference, weakref.WeakMethod):
        method = TwinMethod(target.__self__)
        method.function = target.__func__
        return method
    return TwinReference(target)


def fill_weak(empty: Any, original: Any, twins: Mapping[int, Any]) -> None:
    """Fills the copy of a weak dictionary or set with the copies of what the original refers to."""
    if isinstance(original, weakref.WeakSet):
        empty.update(twins.get(id(entry), entry) for entry in original)
    else:
        empty.update({twins.get(id(key), key): twins.get(id(value), value) for key, value in original.items()})


def silent_trainer(trainer: Any) -> Any:
    """A shallow copy of a trainer whose loggers do nothing, as `LightningModule.log` does in its barebones mode."""
    silent = copy.copy(trainer)
    silent.loggers = [Nothing() for _ in trainer.loggers]
    silent.barebones = True
    return silent


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of an array through which it cannot be written to.

    Example:
        >>> import numpy as np
        >>> read_only(np.zeros(2)).flags.writeable
        False
    """
    view: npt.NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


def uncached(function: Callable[..., Any], owner: Any) -> Callable[..., Any]:
    """A method without its `functools.lru_cache`, which would hold its owner; it holds it weakly."""
    reference = weakref.ref(owner)
    return lambda *args, **options: function(reference(), *args, **options)
