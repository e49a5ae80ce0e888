"""How the classes come apart in a layer through training."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.batch import predicted_classes
from lightning_cnnviz.callbacks.base import Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.functional.projection import (
    FEWEST_SAMPLES,
    METHODS,
    Method,
    principal_components,
    project,
)
from lightning_cnnviz.functional.projection_animation import projection_film
from lightning_cnnviz.functional.projection_chart import projection_chart
from lightning_cnnviz.functional.projection_numbers import measure, projection_record
from lightning_cnnviz.functional.projection_overview import projection_overview
from lightning_cnnviz.functional.umap_layout import require_umap
from lightning_cnnviz.layers import last_hidden_layer, select_layers
from lightning_cnnviz.layout_history import Frame, LayoutHistory
from lightning_cnnviz.probe import Probe
from lightning_cnnviz.writer import Computation, Drawing, Results, Run


class EmbeddingProjection(ProbingCallback):
    """Draws layers' activations for many samples in the plane: images `projection/<layer>/<method>`.

    Activations of a fixed, class-balanced sample are reduced to 50 dimensions by PCA and laid out by t-SNE or UMAP,
    or to 2 by PCA. Each layout starts from the last one and is turned onto it, so that points move instead of jumping.
    The training thread takes the activations only; everything else runs in a helper process of low priority, and
    while it is at work only the newest activations wait: `cnnviz/left_out/EmbeddingProjection` counts those that
    were left out. Layouts are kept in the checkpoint, so that a resumed run goes on from them.

    What a layout is worth is written on it and logged as scalars `projection/<layer>/<method>/<number>`, where it is
    defined: `knn_accuracy` and `silhouette` (how far the classes come apart), `trustworthiness` (how true the layout
    is to the activations), t-SNE's `divergence`, and `movement` (the median way of a sample since the last layout, in
    units of the layout's deviation). With several layers or methods there is also `projection/overview` with all
    of them side by side. As training ends there is a film of all layouts, `projection/<layer>/<method>/film`, also as
    a file in the folder `cnnviz` of the run: an animated PNG.

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
        history: Layouts that are kept for the film, in checkpoints too; of more, every second one. 0: no film.
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
        history: int = 50,
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
        if history < 0:
            raise ValueError(f"expected history to be at least 0, got {history}")
        self.methods = methods
        self.num_samples = num_samples
        self.perplexity = perplexity
        self.seed = seed
        self.history = history
        self._layouts = LayoutHistory(history)
        self._predicted = np.array([], dtype=np.intp)
        self._classes: tuple[npt.NDArray[np.intp], list[str]] = np.array([], dtype=np.intp), []

    @property
    def state_key(self) -> str:
        """Tells projections apart in a checkpoint, by tag and methods."""
        return self._generate_state_key(tag=self.tag, method="+".join(self.methods))

    def state_dict(self) -> dict[str, Any]:
        """The layouts so far."""
        return {"layouts": self._layouts.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the layouts of a checkpoint."""
        self._layouts.load_state_dict(state_dict["layouts"])

    def _select(self, module: LightningModule) -> Sequence[str]:
        return [] if self.layers is None else select_layers(module, self.layers, None, "layer")

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        self._layouts.forget_after(trainer.global_step)
        if self._writer is not None:
            self._writer.claim("samples", self.probe)  # before those who show a few of them
        super()._begin(trainer, module)

    def _computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        samples = self.probe.samples
        if samples is None:
            return None
        self._find_layer(trainer, module, last_hidden_layer)
        shown, seen = self._look(trainer, module, self._selected, self.num_samples)
        if self._writer is None or not self._writer.writes:
            return None  # after the forward pass, which every rank takes part in
        self._classes = shown.targets.numpy(), shown.class_names
        predicted = predicted_classes(seen.output, len(shown.inputs))
        self._predicted = np.full(len(shown.inputs), -1) if predicted is None else predicted.numpy()
        titles = {name: self._title(name, trainer) for name in [*seen.layers, "overview"]}
        drawings = list(self._samples_for_tab())
        return partial(self._project, drawings, seen.layers, trainer.global_step, titles)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Has the layouts shown one after the other, as a film."""
        if self._writer is not None and self.history:
            with self._duty():
                at_once = self.on_error == "raise"
                self._writer.compute(self._film, trainer.global_step, self.account, at_once, key="film")

    # ---- on another thread

    def _project(
        self,
        drawings: list[Drawing],
        layers: dict[str, torch.Tensor],
        step: int,
        titles: Mapping[str, str],
        run: Run,
    ) -> Results:
        latest: dict[tuple[str, Method], Frame] = {}
        for name in list(layers):
            with self._forgiving():  # one layer that can't be laid out leaves the others their pictures
                components = run(partial(principal_components, layers.pop(name), seed=self.seed))
                for method in self.methods:
                    last = self._layouts.last(name, method, len(components))
                    lay_out = partial(project, components, method=method, perplexity=self.perplexity, init=last)
                    layout = run(partial(lay_out, seed=self.seed))
                    numbers = run(partial(measure, layout, self._classes[0], values=components, last=last))
                    latest[name, method] = frame = Frame(step, titles[name], layout, numbers)
                    self._layouts.add(name, method, frame)
                    draw = partial(projection_chart, layout, *self._classes, method=method, numbers=numbers)
                    drawings.append((f"{self.tag}/{name}/{method}", partial(draw, title=titles[name])))
                    record = partial(projection_record, name, method, layout.points, self._predicted, numbers)
                    drawings.append((f"cnnviz/projection/{name}/{method}", record))
        if len(self._selected) * len(self.methods) > 1 and latest:
            layouts = {key: frame.layout for key, frame in latest.items()}
            measured = {key: frame.numbers for key, frame in latest.items()}
            draw = partial(projection_overview, layouts, *self._classes, numbers=measured, title=titles["overview"])
            drawings.append((f"{self.tag}/overview", draw))
        return drawings, {
            f"{self.tag}/{layer}/{method}/{quantity}": value
            for (layer, method), frame in latest.items()
            for quantity, value in frame.numbers.known().items()
        }

    def _film(self, run: Run) -> Results:
        drawings = []
        for (name, method), frames in self._layouts.frames.items():
            if len(frames) > 1:
                _, titles, layouts, numbers = zip(*frames, strict=True)
                draw = partial(projection_film, layouts, *self._classes, method=method)
                draw = partial(draw, titles=titles, numbers=numbers)
                drawings.append((f"{self.tag}/{name}/{method}/film", draw))
        return drawings, {}
