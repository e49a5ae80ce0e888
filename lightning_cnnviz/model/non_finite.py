"""Where NaN or infinity first arises in a pass."""

from functools import partial
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from lightning_cnnviz.data.batch import Key, named_tensors, split_batch
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import takes_hooks
from lightning_cnnviz.model.outputs import first_tensor
from lightning_cnnviz.model.own_pass import own_pass


class Origin(NamedTuple):
    """Where NaN or infinity first arose.

    Attributes:
        words: That in a sentence.
        layers: Names of the layers; empty if it was in none, or is not known.
        of_layers: Whether it arose in what layers compute, rather than in the batch or in the loss.
    """

    words: str
    layers: tuple[str, ...] = ()
    of_layers: bool = False


def origin_of_non_finite(
    trainer: Trainer, module: LightningModule, batch: Any, keys: tuple[Key | None, Key | None] = (None, None)
) -> Origin:
    """Finds out where the loss of a batch became NaN or infinite, before it is propagated back.

    Args:
        trainer: The trainer.
        module: The model, which trains on the batch.
        batch: The batch.
        keys: Of the inputs and of the class indices in a batch; see `split_batch`.
    """
    broken = {name: value for name, value in module.named_parameters() if not value.isfinite().all()}
    if broken:
        last = next(reversed(broken))
        layer = last.rpartition(".")[0]
        cause = "the step before had a gradient that was not."
        if any(value.dtype == torch.float16 for value in broken.values()):
            cause = (
                "the step before had a gradient that was not, or one of zero, which Adam in float16 divides by zero "
                "(its eps of 1e-8 is zero there) unless it is fused=True."
            )
        return Origin(f"Weights up to {layer or last} are no longer finite: {cause}", (layer,) if layer else (), True)
    inputs = [tensor for _, tensor in named_tensors(batch) if tensor.is_floating_point()]
    if any(not tensor.isfinite().all() for tensor in inputs):
        return Origin("The batch itself has values that are NaN or infinite.")
    try:
        with own_pass(trainer, module):
            layer = first_non_finite(module, trainer.precision_plugin.convert_input(split_batch(batch, *keys)[0]))
    except Exception:  # a model that cannot be run again; that the loss is not finite is known all the same
        return Origin("Inputs and weights are finite, but not the loss.")
    if layer:
        return Origin(f"The first output that is not finite is that of {layer}.", (layer,), of_layers=True)
    return Origin("Inputs, weights and what layers return in evaluation mode are finite, but not the loss.")


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
