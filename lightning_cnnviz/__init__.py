"""See inside a CNN while it trains: callbacks for PyTorch Lightning, pictures in TensorBoard."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_cnnviz.callbacks.activation_maximization import ActivationMaximization
    from lightning_cnnviz.callbacks.architecture import Architecture
    from lightning_cnnviz.callbacks.class_report import ClassReport
    from lightning_cnnviz.callbacks.cost_limit import CostLimit
    from lightning_cnnviz.callbacks.embedding_projection import EmbeddingProjection
    from lightning_cnnviz.callbacks.feature_maps import FeatureMaps
    from lightning_cnnviz.callbacks.filter_response import FilterResponse
    from lightning_cnnviz.callbacks.gradient_flow import GradientFlow
    from lightning_cnnviz.callbacks.input_partition import InputPartition
    from lightning_cnnviz.callbacks.kernel_grid import KernelGrid
    from lightning_cnnviz.callbacks.loss_accuracy import LossAccuracy
    from lightning_cnnviz.presets import cnnviz_callbacks
    from lightning_cnnviz.probe import Probe

__version__ = "0.1.0"
__all__ = [
    "ActivationMaximization",
    "Architecture",
    "ClassReport",
    "CostLimit",
    "EmbeddingProjection",
    "FeatureMaps",
    "FilterResponse",
    "GradientFlow",
    "InputPartition",
    "KernelGrid",
    "LossAccuracy",
    "Probe",
    "cnnviz_callbacks",
]

# Loaded at first use: whoever wants a part of the package does not pay for PyTorch and Lightning.
_HOMES = {
    "Architecture": "callbacks.architecture",
    "ClassReport": "callbacks.class_report",
    "CostLimit": "callbacks.cost_limit",
    "ActivationMaximization": "callbacks.activation_maximization",
    "EmbeddingProjection": "callbacks.embedding_projection",
    "FeatureMaps": "callbacks.feature_maps",
    "FilterResponse": "callbacks.filter_response",
    "GradientFlow": "callbacks.gradient_flow",
    "InputPartition": "callbacks.input_partition",
    "KernelGrid": "callbacks.kernel_grid",
    "LossAccuracy": "callbacks.loss_accuracy",
    "Probe": "probe",
    "cnnviz_callbacks": "presets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
