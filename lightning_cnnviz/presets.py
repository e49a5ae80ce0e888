"""Presets: sets of callbacks that work together."""

import inspect
from importlib.util import find_spec
from typing import Any, Literal

from lightning_cnnviz.callbacks.activation_stats import ActivationStats
from lightning_cnnviz.callbacks.architecture import Architecture
from lightning_cnnviz.callbacks.class_report import ClassReport
from lightning_cnnviz.callbacks.cost_limit import CostLimit
from lightning_cnnviz.callbacks.diagnosis import Diagnosis
from lightning_cnnviz.callbacks.embedding_projection import EmbeddingProjection
from lightning_cnnviz.callbacks.feature_maps import FeatureMaps
from lightning_cnnviz.callbacks.filter_response import FilterResponse
from lightning_cnnviz.callbacks.gradient_flow import GradientFlow
from lightning_cnnviz.callbacks.kernel_grid import KernelGrid
from lightning_cnnviz.callbacks.loss_accuracy import LossAccuracy
from lightning_cnnviz.callbacks.maximally_activating_patches import MaximallyActivatingPatches
from lightning_cnnviz.callbacks.run_report import RunReport
from lightning_cnnviz.callbacks.saliency import Saliency
from lightning_cnnviz.callbacks.sample_history import SampleHistory
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.lightning import Callback

MINIMAL = [LossAccuracy, GradientFlow]
STANDARD = [
    *MINIMAL,
    *(Architecture, ClassReport, KernelGrid, FeatureMaps, ActivationStats, EmbeddingProjection, Diagnosis),
]
FULL = [
    *STANDARD,
    *(FilterResponse, MaximallyActivatingPatches, SampleHistory),
    *([] if find_spec("captum") is None else [Saliency]),
]
COUNTING = {LossAccuracy, ClassReport, SampleHistory}
"""Callbacks that are about the class scores."""
ROLES = ("class_names", "inputs", "targets", "scores", "task")
COLOURS = ("mean", "std", "bands")
"""Options of a probe: what is what in a batch, and how inputs become images."""


def cnnviz_callbacks(preset: Literal["minimal", "standard", "full"] = "standard", **options: Any) -> list[Callback]:
    """Creates a set of callbacks for any image classifier; nothing has to be configured.

    Args:
        preset: `"minimal"`: loss and accuracy curves, and gradients. `"standard"`: also the architecture, a
            per-class report, kernels, feature maps, activation statistics, a t-SNE projection and what is wrong with
            the run, if anything. `"full"`: also filter responses, the patches that excite channels most, the life of
            every sample, a PCA projection next to the t-SNE and, where captum is installed, saliency.
        **options: Arguments of the callbacks, each passed to every callback of the preset that accepts it, e.g.
            `every_n_epochs=5`, `on_error="raise"`, `probe=Probe(class_names=[...])`, `num_samples=500`. The
            architecture is always drawn once and in full, regardless of the interval and of `layers`.
            `scores="head"` names the layer that outputs the class scores; `inputs`, `targets`, `task`, `mean`, `std`
            and `bands` are as in `Probe`, for all callbacks. `max_overhead=0.05` and `max_event_mb=100` bound the
            total cost of all callbacks, see `CostLimit`. `report=True` writes the run as one HTML file when training
            ends, see `RunReport`.

    Returns:
        Callbacks for `Trainer(callbacks=...)`.

    Raises:
        TypeError: If no callback of the preset accepts an option.
        ValueError: If the preset is unknown or an option has an invalid value.

    Example:
        >>> [type(callback).__name__ for callback in cnnviz_callbacks("minimal", every_n_epochs=5)]
        ['LossAccuracy', 'GradientFlow']
    """
    sets: dict[str, list[type[Callback]]] = {"minimal": MINIMAL, "standard": STANDARD, "full": FULL}
    if preset not in sets:
        raise ValueError(f"expected preset to be one of {', '.join(sets)}, got {preset!r}")
    # Each callback keeps its own tag: with a shared one their pictures would be mixed up.
    accepted = {kind: set(inspect.signature(kind).parameters) - {"tag"} for kind in sets[preset]}
    if Architecture in accepted:
        accepted[Architecture] -= {"every_n_epochs", "every_n_train_steps", "layers"}
    for kind in COUNTING:  # here `layers` is not what to show but the source of the class scores
        accepted.get(kind, set()).discard("layers")
    if FilterResponse in accepted:
        accepted[FilterResponse].discard("channel")  # here only an index is valid, not "mean" or "rgb"
    limits = {name: options.pop(name) for name in ("max_overhead", "max_event_mb") if name in options}
    report = options.pop("report", False)
    known = sorted(set().union(*accepted.values()) | {"max_overhead", "max_event_mb", "report", "scores"})
    unknown = sorted(set(options).difference(known))
    if unknown:
        raise TypeError(
            f"no callback of the {preset} preset accepts {', '.join(unknown)}; options are: {', '.join(known)}"
        )

    if any("probe" in names for names in accepted.values()):
        # All callbacks share one probe, so that the samples are read once and what the user said holds for all.
        own = {name: options[name] for name in (*ROLES, *COLOURS) if name in options}
        probe = options.get("probe") or Probe(options.get("num_samples", 1000), **own)
        told = {name: getattr(probe, name) for name in ROLES}
        if probe.normalization is not None:
            told |= {"mean": probe.normalization.mean, "std": probe.normalization.std}
        told |= {"bands": probe.bands}
        options = {**told, **options, "probe": probe}
    if preset == "full":
        options = {"method": ["tsne", "pca"], **options}
    chosen = {
        kind: {name: value for name, value in options.items() if name in accepted[kind]} for kind in sets[preset]
    }
    if options.get("scores") is not None:
        for counting in COUNTING & set(chosen):
            chosen[counting]["layers"] = options["scores"]
    callbacks: list[Callback] = [kind(**given) for kind, given in chosen.items()]
    callbacks += [RunReport()] if report else []
    return [*callbacks, CostLimit(**{"max_overhead": None, **limits})] if limits else callbacks
