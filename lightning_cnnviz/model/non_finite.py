"""Where NaN or infinity first arises in a pass."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import takes_hooks
from lightning_cnnviz.model.outputs import first_tensor


def first_non_finite(module: nn.Module, inputs: Tensor) -> str:
    """Returns the first layer, in the order in which they run, that returns NaN or infinity; empty if none does.

    A copy of the model runs, in evaluation mode.

    Args:
        module: The model; called as `module(inputs)`.
        inputs: Shape (samples, ...), on the model's device.

    Example:
        >>> import torch
        >>> class Log(nn.Module):
        ...     def forward(self, x):
        ...         return x.log()
        >>> first_non_finite(nn.Sequential(nn.Identity(), Log(), nn.ReLU()), torch.zeros(2, 3))
        '1'
    """
    found: list[str] = []

    def look(name: str, module: nn.Module, args: Any, result: Any) -> None:
        values = first_tensor(result)
        if not found and values is not None and not values.isfinite().all():
            found.append(name)

    with evaluating(module) as copied:
        for name, part in copied.named_modules():
            if name and not any(part.children()) and takes_hooks(part):
                part.register_forward_hook(partial(look, name))
        copied(inputs.clone())  # which the model may change in place
    return found[0] if found else ""
