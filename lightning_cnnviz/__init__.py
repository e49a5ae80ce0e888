"""PyTorch Lightning callbacks that draw a CNN's insides in TensorBoard while it trains."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightning_cnnviz import callbacks as _callbacks

if TYPE_CHECKING:  # `as` marks a name as re-exported
    from lightning_cnnviz.callbacks import ActivationMaximization as ActivationMaximization
    from lightning_cnnviz.callbacks import ActivationStats as ActivationStats
    from lightning_cnnviz.callbacks import Architecture as Architecture
    from lightning_cnnviz.callbacks import ClassReport as ClassReport
    from lightning_cnnviz.callbacks import CostLimit as CostLimit
    from lightning_cnnviz.callbacks import Diagnosis as Diagnosis
    from lightning_cnnviz.callbacks import EmbeddingProjection as EmbeddingProjection
    from lightning_cnnviz.callbacks import FeatureMaps as FeatureMaps
    from lightning_cnnviz.callbacks import FilterResponse as FilterResponse
    from lightning_cnnviz.callbacks import GradientFlow as GradientFlow
    from lightning_cnnviz.callbacks import InputPartition as InputPartition
    from lightning_cnnviz.callbacks import KernelGrid as KernelGrid
    from lightning_cnnviz.callbacks import LossAccuracy as LossAccuracy
    from lightning_cnnviz.callbacks import MaximallyActivatingPatches as MaximallyActivatingPatches
    from lightning_cnnviz.callbacks import RunReport as RunReport
    from lightning_cnnviz.callbacks import Saliency as Saliency
    from lightning_cnnviz.callbacks import SampleHistory as SampleHistory
    from lightning_cnnviz.data.probe import Probe as Probe
    from lightning_cnnviz.functional.notebook import look as look
    from lightning_cnnviz.presets import cnnviz_callbacks as cnnviz_callbacks
    from lightning_cnnviz.report.notebook import show as show

__version__ = "0.1.0"

_VISUALS = [name for name in _callbacks.__all__ if name not in _callbacks.BASES]
# Imported lazily, so that importing the package does not import PyTorch and Lightning.
_HOMES = {
    **dict.fromkeys(_VISUALS, ".callbacks"),
    "Probe": ".data.probe",
    "cnnviz_callbacks": ".presets",
    "look": ".functional.notebook",
    "show": ".report.notebook",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
