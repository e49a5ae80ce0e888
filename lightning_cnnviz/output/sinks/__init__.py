"""Adapters for the loggers that are supported."""

from typing import Any

from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz.output.sinks.base import Sink
from lightning_cnnviz.output.sinks.csv import CSVSink
from lightning_cnnviz.output.sinks.mlflow import MLflowSink
from lightning_cnnviz.output.sinks.tensorboard import TensorBoardSink
from lightning_cnnviz.output.sinks.wandb import WandbSink

__all__ = ["Sink", "sink_for"]

# By class name, since `pytorch_lightning` and `lightning.pytorch` each have their own.
_SINKS: dict[str, type[Sink]] = {"CSVLogger": CSVSink, "MLFlowLogger": MLflowSink, "WandbLogger": WandbSink}


def sink_for(logger: Any) -> Sink:
    """Creates the sink of a logger: of TensorBoard, Weights & Biases, MLflow or CSV, or else for scalars only."""
    if isinstance(getattr(logger, "experiment", None), SummaryWriter):
        return TensorBoardSink(logger)
    kinds = (_SINKS.get(kind.__name__) for kind in type(logger).__mro__)
    return next((kind for kind in kinds if kind is not None), Sink)(logger)
