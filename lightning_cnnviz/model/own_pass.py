"""Passes of our own: a copy of the model on given inputs, in the training's precision."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lightning_cnnviz.errors import ConfigurationError, NotRunAgainError
from lightning_cnnviz.model.capture import Activations, check_one_input, record


@contextmanager
def own_pass(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """Context for a pass of a copy of the model on inputs alone, in the training's precision.

    Raises:
        ValueError: If the model cannot be called like that, with what follows from it.
    """
    check_one_input(module)
    try:
        with trainer.precision_plugin.forward_context():
            yield
    except (ConfigurationError, NotRunAgainError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(
            "a copy of the model cannot be called with the batch's inputs alone, so that only what its own validation "
            f"shows is drawn, from the second one on: {type(error).__name__}: {error}"
        ) from error


def run_on(
    trainer: Trainer, module: LightningModule, inputs: Tensor, layers: Sequence[str], scores: str | None = None
) -> Activations:
    """Activations of layers for inputs on the CPU; see `record`.

    Args:
        trainer: The trainer.
        module: The model.
        inputs: Shape (samples, ...).
        layers: Names of the layers.
        scores: Name of the layer that outputs the class scores. Default: the model itself.
    """
    with own_pass(trainer, module):
        given = trainer.precision_plugin.convert_input(inputs.to(module.device))
        seen = record(module, given, [*layers, *([] if scores is None else [scores])])
    return seen if scores is None else seen._replace(output=seen.layers.get(scores))
