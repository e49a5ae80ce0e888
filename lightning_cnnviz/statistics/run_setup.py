"""How a training is set up: layers, optimizers, data and precision, as the rules of a diagnosis want to know it."""

import math

import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.data.data_setup import data_setup, shared_samples
from lightning_cnnviz.data.datasets import find_class_names, first_loader
from lightning_cnnviz.functional.curves import find_metric
from lightning_cnnviz.functional.diagnosis.setup import Setup
from lightning_cnnviz.model.input_tap import DROPOUTS, BatchNorm
from lightning_cnnviz.model.sharding import is_sharded
from lightning_cnnviz.model.training_setup import layer_setups, optimizer_setup


def run_setup(trainer: Trainer, module: LightningModule) -> Setup:
    """Returns how a training is set up, as it starts.

    Args:
        trainer: The trainer, in `on_train_start`, when its optimizers and dataloaders are there.
        module: The model.
    """
    train, val = first_loader(trainer.train_dataloader), first_loader(trainer.val_dataloaders)
    data = data_setup(train)
    by_norm = str(trainer.gradient_clip_algorithm or "norm").endswith("norm")
    accumulated = trainer.accumulate_grad_batches
    dataset = None if train is None else train.dataset
    names = find_class_names(dataset, getattr(trainer, "datamodule", None), module)
    with torch.no_grad():
        layers = {} if is_sharded(module) else layer_setups(module, trainer.optimizers)
    return Setup(
        layers,
        [optimizer_setup(optimizer) for optimizer in trainer.optimizers],
        module.automatic_optimization and len(trainer.optimizers) == 1,
        _planned_steps(trainer) if module.automatic_optimization else math.inf,
        trainer.num_training_batches / accumulated,
        float(trainer.gradient_clip_val) if trainer.gradient_clip_val and by_norm else math.inf,
        is_half(trainer, module),
        max((part.p for part in module.modules() if isinstance(part, DROPOUTS)), default=0.0),
        [name for name, part in module.named_modules() if isinstance(part, BatchNorm)],
        data.sequential,
        data.class_counts,
        data.purity,
        data.batch_size,
        math.nan if trainer.overfit_batches else shared_samples(train, val),  # type: ignore[attr-defined]
        names is not None,
        any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs),
    )


def _planned_steps(trainer: Trainer) -> float:
    """Optimizer steps of the run; infinite where that is not known.

    Lightning (2.6.6) gives -1 for a stream of unknown length, and counts with the accumulation of the first epoch.
    """
    kinds = {base.__name__ for callback in trainer.callbacks for base in type(callback).__mro__}  # type: ignore[attr-defined]
    steps = trainer.estimated_stepping_batches
    return math.inf if "GradientAccumulationScheduler" in kinds or steps < 0 else steps


def validation_loss(trainer: Trainer) -> float:
    """The loss that the module has logged in the validation that ends; NaN if there is none.

    Example:
        >>> trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        >>> trainer.callback_metrics["val_loss"] = torch.tensor(2.5)
        >>> validation_loss(trainer)
        2.5
    """
    # The name has to say the stage: what is named "loss" only may be of the training.
    logged = trainer.callback_metrics
    name = find_metric([one for one in logged if "val" in one.lower()], "loss", "val")
    return math.nan if name is None else float(logged[name])


def is_half(trainer: Trainer, module: LightningModule) -> bool:
    """Whether numbers are computed in half precision, which bfloat16 is not.

    Example:
        >>> from pytorch_lightning.demos.boring_classes import BoringModel
        >>> trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        >>> is_half(trainer, BoringModel()), is_half(trainer, BoringModel().half())
        (False, True)
    """
    dtypes = {parameter.dtype for parameter in module.parameters()}
    return torch.float16 in dtypes or str(trainer.precision).startswith("16")
