"""Whether a hook of the user or of another library can reach anything outside of the model."""

import inspect
from types import FunctionType, ModuleType

from torch import Tensor, nn


def stays_inside(hook: object) -> bool:
    """Whether all that a hook can change is in the model, so that in a copy it changes the copy only.

    Of PyTorch's own hooks that is known: they compute weights, or observe for quantisation.

    Example:
        >>> heard = []
        >>> stays_inside(lambda _, __, result: 0.5 * result), stays_inside(lambda *_: heard.append(1))
        (True, False)
    """
    if str(getattr(hook, "__module__", "")).startswith("torch."):
        return True
    function = getattr(hook, "__func__", hook)
    owner = getattr(hook, "__self__", None)
    if not isinstance(function, FunctionType) or not (owner is None or isinstance(owner, nn.Module)):
        return False
    outside = inspect.getclosurevars(function)
    harmless = all(isinstance(part, (ModuleType, type)) for part in outside.globals.values())
    reachable = all(isinstance(part, (nn.Module, Tensor, int, float, str)) for part in outside.nonlocals.values())
    return harmless and reachable and not {"print", "open", "setattr", "exec", "eval"} & set(outside.builtins)
