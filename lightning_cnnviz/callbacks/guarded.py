"""The base class of all callbacks of this package: an exception in a hook never ends the run."""

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

from lightning_cnnviz.lightning import Callback
from lightning_cnnviz.output.costs import Account


class GuardedCallback(Callback):
    """A callback whose hooks never end a run, except by raising `ConfigurationError`.

    Every Lightning hook that a subclass defines runs inside `account.guard()`.

    Example:
        >>> import warnings
        >>> class Broken(GuardedCallback):
        ...     def on_train_start(self, trainer, pl_module):
        ...         raise RuntimeError("no picture today")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     Broken().on_train_start(None, None)
        >>> print(str(caught[0].message).partition(" (")[0])
        Broken failed to draw; training continues: RuntimeError: no picture today
    """

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(type(self).__name__)
        """The callback's cost and failures in this run."""

    def on_exception(self, *_: Any) -> None:
        """Does nothing; takes any arguments, since a trainer that has the class calls it after `setup` has failed."""

    def yields(self, trainer: Any) -> bool:
        """Whether `CNNVIZ_AUTO` added it beside callbacks that the user added."""
        return getattr(self, "auto", False) and not all(getattr(other, "auto", True) for other in trainer.callbacks)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in list(vars(cls).items()):
            if isinstance(value, FunctionType) and not name.startswith("_") and hasattr(Callback, name):
                setattr(cls, name, _guarded(value))
        cls.setup = _of_instances(cls.__name__, cls.setup)  # type: ignore[method-assign]


def _guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(hook)
    def guarded(self: GuardedCallback, *args: Any, **options: Any) -> Any:
        if not isinstance(self, GuardedCallback):  # the Trainer was given the class; `setup` has raised
            return None
        account = self.account
        try:  # rather than `guard`, which costs more where nothing is raised, in several hooks of each step
            return hook(self, *args, **options)
        except Exception as error:
            if not account.keeps(error):
                raise
        finally:
            if account.failures:
                account.report()

    return guarded


def _of_instances(name: str, setup: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `setup`, the first hook that a trainer calls; if it was given the class, `self` is the trainer itself."""

    @wraps(setup)
    def checked(self: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(self, GuardedCallback):
            raise TypeError(f"expected instances in Trainer(callbacks=[...]), got the class {name}; use {name}()")
        return setup(self, *args, **options)

    return checked
