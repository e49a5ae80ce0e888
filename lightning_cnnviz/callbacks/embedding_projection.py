"""How the classes come apart in a layer through training."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.callbacks.base import Drawing, Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.functional.image import Array
from lightning_cnnviz.functional.projection import (
    FEWEST_SAMPLES,
    METHODS,
    Layout,
    Method,
    principal_components,
    project,
)
from lightning_cnnviz.functional.projection_chart import projection_chart
from lightning_cnnviz.functional.projection_numbers import Numbers, measure
from lightning_cnnviz.functional.projection_overview import projection_overview
from lightning_cnnviz.functional.umap_layout import require_umap
from lightning_cnnviz.layers import last_hidden_layer, select_layers
from lightning_cnnviz.probe import Probe


class EmbeddingProjection(ProbingCallback):
    """Draws layers' activations for many samples in the plane: images `projection/<layer>/<method>`.

    Activations of a fixed, class-balanced sample are reduced to 50 dimensions by PCA and laid out by t-SNE, or
    to 2 by PCA. Each layout starts from the last one, so that points move instead of jumping. Layouts are kept
    in the checkpoint, so that a resumed run goes on from them.

    How far the classes come apart in a layout is written on it and logged as scalars
    `projection/<layer>/<method>/knn_accuracy` and `.../silhouette`, where they are defined. With several layers or
    methods there is also the picture `projection/overview` with all of them side by side.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"fc*"`; `.input` behind a name shows what the layer receives.
            Default: the last hidden layer, i.e. what the last layer with weights receives.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        method: `"tsne"`, `"pca"`, `"umap"` (needs `pip install "lightning-cnnviz[umap]"`) or a list of them.
        num_samples: Samples in the layout, at least 5.
        perplexity: t-SNE's effective number of neighbours, above 1; lowered to a third of the samples where
            there are too few, and written on the picture.
        probe: Where the samples come from; the first `num_samples` of it are shown. Default: a `Probe` that
            finds them in the trainer's validation data.
        seed: Of the randomised parts.

    Raises:
        ImportError: If `method` names `"umap"` and umap-learn is not installed.
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> EmbeddingProjection(layers=["pool1", "pool2"], method=["pca", "tsne"]).methods
        ['pca', 'tsne']
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "projection",
        on_error: OnError = "warn",
        method: Method | list[Method] = "tsne",
        num_samples: int = 1000,
        perplexity: float = 30.0,
        probe: Probe | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(num_samples),
        )
        methods = method if isinstance(method, list) else [method]
        if not methods or len(set(methods)) < len(methods) or not set(methods) <= set(METHODS):
            raise ValueError(f'expected method to be "tsne", "pca", "umap" or a list of them, got {method!r}')
        if "umap" in methods:
            require_umap()
        if num_samples < FEWEST_SAMPLES:
            raise ValueError(f"expected num_samples to be at least {FEWEST_SAMPLES}, got {num_samples}")
        if not perplexity > 1:
            raise ValueError(f"expected perplexity to be above 1, got {perplexity}")
        self.methods = methods
        self.num_samples = num_samples
        self.perplexity = perplexity
        self.seed = seed
        self._layouts: dict[tuple[str, Method], torch.Tensor] = {}
        self._separations: dict[tuple[str, Method], Numbers] = {}

    @property
    def state_key(self) -> str:
        """Tells projections apart in a checkpoint, by tag and methods."""
        return self._generate_state_key(tag=self.tag, method="+".join(self.methods))

    def state_dict(self) -> dict[str, Any]:
        """The last layouts, (layer, method) → points of shape (samples, 2)."""
        return {"layouts": dict(self._layouts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the layouts of a checkpoint."""
        self._layouts = dict(state_dict["layouts"])

    def _select(self, module: LightningModule) -> Sequence[str]:
        return [] if self.layers is None else select_layers(module, self.layers, None, "layer")

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.global_step == 0:  # a run that begins anew has no last layout
            self._layouts = {}
        super()._begin(trainer, module)

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples = self.probe.samples
        if samples is None:
            return
        self._find_layer(trainer, module, last_hidden_layer)
        shown, seen = self._look(trainer, module, self._selected, self.num_samples)
        if self._writer is None or not self._writer.writes:
            return  # after the forward pass, which every rank takes part in
        classes = shown.targets.numpy(), shown.class_names
        layouts: dict[tuple[str, Method], Layout] = {}
        self._separations = {}
        for name in list(seen.layers):
            with self._forgiving():  # one layer that can't be laid out leaves the others their pictures
                components = principal_components(seen.layers.pop(name), seed=self.seed)
                for method in self.methods:
                    layout = layouts[name, method] = self._lay_out(components, name, method)
                    numbers = self._separations[name, method] = measure(layout, classes[0])
                    draw = partial(projection_chart, layout, *classes, method=method, numbers=numbers)
                    yield f"{self.tag}/{name}/{method}", partial(draw, title=self._title(name, trainer))
        if len(self._selected) * len(self.methods) > 1 and layouts:
            draw = partial(projection_overview, layouts, *classes, numbers=self._separations)
            yield f"{self.tag}/overview", partial(draw, title=self._title("overview", trainer))

    def _lay_out(self, components: Array, name: str, method: Method) -> Layout:
        last = self._layouts.get((name, method))
        layout = project(
            components,
            method=method,
            perplexity=self.perplexity,
            init=last.numpy() if last is not None and len(last) == len(components) else None,
            seed=self.seed,
        )
        self._layouts[name, method] = torch.from_numpy(layout.points)
        return layout

    def _numbers(self) -> Mapping[str, float]:
        return {
            f"{self.tag}/{layer}/{method}/{quantity}": value
            for (layer, method), numbers in self._separations.items()
            for quantity, value in numbers.known().items()
        }
