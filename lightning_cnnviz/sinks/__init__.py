"""Where pictures and numbers go: a few lines for each logger."""

from typing import Any

from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz.sinks.base import Sink
from lightning_cnnviz.sinks.csv import CSVSink
from lightning_cnnviz.sinks.mlflow import MLflowSink
from lightning_cnnviz.sinks.tensorboard import TensorBoardSink
from lightning_cnnviz.sinks.wandb import WandbSink

__all__ = ["Sink", "sink_for"]

# By name, since `pytorch_lightning` and `lightning.pytorch` have a class of each.
_SINKS: dict[str, type[Sink]] = {"CSVLogger": CSVSink, "MLFlowLogger": MLflowSink, "WandbLogger": WandbSink}


def sink_for(logger: Any) -> Sink:
    """The sink of a logger: TensorBoard's, Weights & Biases', MLflow's, Lightning's CSV logger's, or numbers only."""
    if isinstance(getattr(logger, "experiment", None), SummaryWriter):
        return TensorBoardSink(logger)
    kinds = (_SINKS.get(kind.__name__) for kind in type(logger).__mro__)
    return next((kind for kind in kinds if kind is not None), Sink)(logger)
