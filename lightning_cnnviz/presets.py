"""Sets of callbacks that work together."""

import inspect
from typing import Any, Literal

from lightning_cnnviz.callbacks.architecture import Architecture
from lightning_cnnviz.callbacks.class_report import ClassReport
from lightning_cnnviz.callbacks.cost_limit import CostLimit
from lightning_cnnviz.callbacks.embedding_projection import EmbeddingProjection
from lightning_cnnviz.callbacks.feature_maps import FeatureMaps
from lightning_cnnviz.callbacks.filter_response import FilterResponse
from lightning_cnnviz.callbacks.gradient_flow import GradientFlow
from lightning_cnnviz.callbacks.kernel_grid import KernelGrid
from lightning_cnnviz.callbacks.loss_accuracy import LossAccuracy
from lightning_cnnviz.lightning import Callback
from lightning_cnnviz.probe import Probe

MINIMAL = [LossAccuracy, GradientFlow]
STANDARD = [*MINIMAL, Architecture, ClassReport, KernelGrid, FeatureMaps, EmbeddingProjection]
FULL = [*STANDARD, FilterResponse]


def cnnviz_callbacks(preset: Literal["minimal", "standard", "full"] = "standard", **options: Any) -> list[Callback]:
    """Makes callbacks that show the inside of any image classifier, with nothing to set.

    Args:
        preset: `"minimal"`: curves and gradients. `"standard"`: the architecture, a report on each class,
            kernels, feature maps and a t-SNE projection as well. `"full"`: also filter responses and a PCA
            projection beside the t-SNE.
        **options: Arguments of the callbacks, each given to those of the set that take it, e.g.
            `every_n_epochs=5`, `on_error="raise"`, `probe=Probe(class_names=[...])`, `num_samples=500`. The
            architecture is drawn once and whole, whatever the interval and the layers. `max_overhead=0.05` and
            `max_event_mb=100` bound what all of them cost, see `CostLimit`.

    Returns:
        Callbacks for `Trainer(callbacks=...)`.

    Raises:
        TypeError: If no callback of the set takes an option.
        ValueError: If the preset is unknown or an option has an impossible value.

    Example:
        >>> [type(callback).__name__ for callback in cnnviz_callbacks("minimal", every_n_epochs=5)]
        ['LossAccuracy', 'GradientFlow']
    """
    sets: dict[str, list[type[Callback]]] = {"minimal": MINIMAL, "standard": STANDARD, "full": FULL}
    if preset not in sets:
        raise ValueError(f"expected preset to be one of {', '.join(sets)}, got {preset!r}")
    # Each has its own tag, or pictures of two callbacks would share one.
    accepted = {kind: set(inspect.signature(kind).parameters) - {"tag"} for kind in sets[preset]}
    if Architecture in accepted:
        accepted[Architecture] -= {"every_n_epochs", "every_n_train_steps", "layers"}
    for kind in (LossAccuracy, ClassReport):  # there it is not what to show, but where the class scores come from
        accepted.get(kind, set()).discard("layers")
    if FilterResponse in accepted:
        accepted[FilterResponse].discard("channel")  # there "mean" and "rgb" are none
    limits = {name: options.pop(name) for name in ("max_overhead", "max_event_mb") if name in options}
    known = sorted(set().union(*accepted.values()) | {"max_overhead", "max_event_mb"})
    unknown = sorted(set(options).difference(known))
    if unknown:
        raise TypeError(f"no callback of the {preset} set takes {', '.join(unknown)}; options are: {', '.join(known)}")

    if any("probe" in names for names in accepted.values()):
        # All show samples of one set, that is read once, with one set of names.
        probe = options.get("probe") or Probe(options.get("num_samples", 1000), class_names=options.get("class_names"))
        options = {"class_names": probe.class_names, **options, "probe": probe}
    if preset == "full":
        options = {"method": ["tsne", "pca"], **options}
    callbacks: list[Callback] = [
        kind(**{name: value for name, value in options.items() if name in accepted[kind]}) for kind in sets[preset]
    ]
    return [*callbacks, CostLimit(**{"max_overhead": None, **limits})] if limits else callbacks
