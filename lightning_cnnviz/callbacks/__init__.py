"""The callbacks, one thin module per visual on top of its counterpart in `functional`, and their base classes."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `as` marks a name as re-exported
    from lightning_cnnviz.callbacks.activation_maximization import ActivationMaximization as ActivationMaximization
    from lightning_cnnviz.callbacks.activation_stats import ActivationStats as ActivationStats
    from lightning_cnnviz.callbacks.architecture import Architecture as Architecture
    from lightning_cnnviz.callbacks.base import VisualCallback as VisualCallback
    from lightning_cnnviz.callbacks.class_report import ClassReport as ClassReport
    from lightning_cnnviz.callbacks.cost_limit import CostLimit as CostLimit
    from lightning_cnnviz.callbacks.diagnosis import Diagnosis as Diagnosis
    from lightning_cnnviz.callbacks.embedding_projection import EmbeddingProjection as EmbeddingProjection
    from lightning_cnnviz.callbacks.feature_maps import FeatureMaps as FeatureMaps
    from lightning_cnnviz.callbacks.filter_response import FilterResponse as FilterResponse
    from lightning_cnnviz.callbacks.gradient_flow import GradientFlow as GradientFlow
    from lightning_cnnviz.callbacks.input_partition import InputPartition as InputPartition
    from lightning_cnnviz.callbacks.kernel_grid import KernelGrid as KernelGrid
    from lightning_cnnviz.callbacks.listening import ListeningCallback as ListeningCallback
    from lightning_cnnviz.callbacks.loss_accuracy import LossAccuracy as LossAccuracy
    from lightning_cnnviz.callbacks.maximally_activating_patches import (
        MaximallyActivatingPatches as MaximallyActivatingPatches,
    )
    from lightning_cnnviz.callbacks.probing import ProbingCallback as ProbingCallback
    from lightning_cnnviz.callbacks.run_report import RunReport as RunReport
    from lightning_cnnviz.callbacks.saliency import Saliency as Saliency
    from lightning_cnnviz.callbacks.sample_history import SampleHistory as SampleHistory

BASES = {"VisualCallback": "base", "ListeningCallback": "listening", "ProbingCallback": "probing"}
"""Base class for visuals of one's own → its module."""
# Every visual has a module whose name gives the name of its class, so a new one needs no entry here. Imported lazily,
# so that importing the package does not import PyTorch and Lightning.
_OTHERS = ("base", "following", "guarded", "listening", "probing", "tapping")
_FILES = [found.name for found in iter_modules(__path__) if found.name not in _OTHERS]
_HOMES = {**{"".join(map(str.capitalize, name.split("_"))): name for name in _FILES}, **BASES}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
