"""Errors of ours stay ours: the one place where they are kept from a run."""

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

from pytorch_lightning.utilities import rank_zero_warn

from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.lightning import Callback


class ForgivingCallback(Callback):
    """A callback none of whose hooks ends a run, whatever goes wrong in it; `ConfigurationError` alone does.

    Example:
        >>> import warnings
        >>> class Broken(ForgivingCallback):
        ...     def on_train_start(self, trainer, pl_module):
        ...         raise RuntimeError("no picture today")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     Broken().on_train_start(None, None)
        >>> [str(warning.message) for warning in caught]
        ['Broken gave up and training goes on: RuntimeError: no picture today']
    """

    _gave_up = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in list(vars(cls).items()):
            if isinstance(value, FunctionType) and not name.startswith("_") and hasattr(Callback, name):
                setattr(cls, name, _forgiven(value))

    def _forgives(self, error: Exception) -> bool:
        """Whether an error is kept from the run; says so, once."""
        if isinstance(error, ConfigurationError):
            return False
        if not self._gave_up:
            self._gave_up = True
            rank_zero_warn(f"{type(self).__name__} gave up and training goes on: {type(error).__name__}: {error}")
        return True


def _forgiven(hook: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(hook)
    def forgiving(self: ForgivingCallback, *args: Any, **options: Any) -> Any:
        try:
            return hook(self, *args, **options)
        except Exception as error:
            if not self._forgives(error):
                raise
            return None

    return forgiving
