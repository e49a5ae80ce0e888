"""2-D projections of a layer's activations during training."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningModule, Trainer
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.errors import names_list, whole_number
from lightning_cnnviz.functional.projection.animation import projection_film
from lightning_cnnviz.functional.projection.chart import projection_chart
from lightning_cnnviz.functional.projection.layout import (
    FEWEST_SAMPLES,
    METHODS,
    Method,
    principal_components,
    project,
)
from lightning_cnnviz.functional.projection.overview import projection_overview
from lightning_cnnviz.functional.projection.quality import measure, projection_tab_data
from lightning_cnnviz.functional.projection.umap import require_umap
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.layers import last_hidden_layer, select_layers
from lightning_cnnviz.output.writer import Computation, Drawing, Results, Run
from lightning_cnnviz.statistics.layout_history import LayoutHistory, LayoutSnapshot


class EmbeddingProjection(ProbingCallback):
    """Projects layers' activations for many samples to 2-D: images `projection/<layer>/<method>`.

    Activations of a fixed, class-balanced sample are reduced to 50 dimensions by PCA and embedded in 2-D by t-SNE or
    UMAP, or reduced to 2 dimensions by PCA. Each layout continues from the last one and is aligned with it, so that
    points move smoothly instead of jumping; where the activations have changed too much, t-SNE begins anew, which is
    written on the layout. Only the activations are computed on the training thread; everything else runs in a helper
    process, where activations wait for their turn. Layouts are stored in the checkpoint, so that a resumed run
    continues from them.

    Quality metrics are written on each layout and, where defined, logged as scalars
    `projection/<layer>/<method>/<metric>`:

    - `knn_accuracy`, `silhouette`: how well the classes are separated. The number of nearest neighbours is
      `knn_neighbours`: 10, but less than the size of the smallest class. Classes of one sample are left out;
      `knn_left_out` counts them.
    - `trustworthiness`: how faithful the layout is to the activations.
    - `divergence`: t-SNE's Kullback–Leibler divergence.
    - `movement`: median distance that a sample moved since the last layout, in units of the layout's standard
      deviation.

    With several layers or methods, `projection/overview` shows all of them side by side. At the end of training, an
    animation of all layouts is logged as `projection/<layer>/<method>/film` and saved as an animated PNG in the folder
    `cnnviz` of the run.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"fc*"`; a name with the suffix `.input` stands for what the layer
            receives. Default: the last hidden layer, i.e. what the last layer with weights receives.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        method: `"tsne"`, `"pca"`, `"umap"` (needs `pip install "lightning-cnnviz[umap]"`) or a list of them.
        num_samples: Samples in the layout, at least 5.
        perplexity: t-SNE's effective number of neighbours, above 1; capped at a third of the number of samples. The
            value used is written on the picture.
        history: Maximum number of layouts kept for the animation, also in checkpoints; beyond it, those with the
            closest neighbours are dropped. 0: no animation.
        probe: Source of the samples; its first `num_samples` are shown. Default: a `Probe` of the validation.
        seed: Seed of the randomised steps.

    Raises:
        ImportError: If `method` includes `"umap"` and umap-learn is not installed.
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> EmbeddingProjection(layers=["pool1", "pool2"], method=["pca", "tsne"]).methods
        ['pca', 'tsne']
    """

    guide = Guide("Images", "projection/…", "the separation of the classes")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "projection",
        on_error: OnError = "warn",
        method: Method | Sequence[Method] = "tsne",
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
        methods = cast(list[Method], names_list(method, "method"))
        if not methods or len(set(methods)) < len(methods) or not set(methods) <= set(METHODS):
            raise ValueError(f'expected method to be "tsne", "pca", "umap" or a list of them, got {method!r}')
        if "umap" in methods:
            require_umap()
        if not perplexity > 1:
            raise ValueError(f"expected perplexity to be above 1, got {perplexity}")
        self.methods = methods
        self.num_samples = whole_number(num_samples, "num_samples", at_least=FEWEST_SAMPLES)
        self.perplexity = perplexity
        self.seed = whole_number(seed, "seed", at_least=0)
        self.history = whole_number(history, "history", at_least=0)
        self._layouts = LayoutHistory(self.history)
        self._classes: tuple[npt.NDArray[np.intp], list[str]] = np.array([], dtype=np.intp), []
        self._shown_version: int | None = None  # of the probe's samples that the layouts show
        self._unsent: list[Drawing] = []  # the last layouts for the tab, as long as it has not these samples

    @override
    def state_names(self) -> Mapping[str, Any]:
        """Distinguishes projections by other methods in a checkpoint."""
        return {"method": "+".join(self.methods)}

    def state_dict(self) -> dict[str, Any]:
        """Returns the layouts so far."""
        return {"layouts": self._layouts.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the layouts from a checkpoint."""
        self._layouts.load_state_dict(state_dict["layouts"])

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        return [] if self.layers is None else select_layers(module, self.layers, None, "layer")

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._layouts.forget_after(logged_step(trainer))
        self._shown_version, self._unsent = None, []
        if self.writer is not None:
            self.writer.claim("samples", self.probe)  # before callbacks that show fewer of them
        super().prepare(trainer, module)

    @override
    def untrained(self, module: LightningModule) -> bool:
        return self.given_samples(module)

    @override
    def computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        samples = self.probe.samples
        if samples is None:
            return None
        self.find_layer(trainer, module, last_hidden_layer)
        shown, seen = self.activations(trainer, module, self.selected, self.num_samples)
        if self.writer is None or not self.writer.writes:
            return None  # after the forward pass, which runs on every rank
        if self._shown_version not in (None, self.probe.version):  # other samples now
            self._layouts = LayoutHistory(self.history)
        self._shown_version = self.probe.version
        self._classes = shown.targets.numpy(), shown.class_names
        predicted = self.predicted(seen.output, len(shown.inputs))
        classes = np.full(len(shown.inputs), -1) if predicted is None else predicted.numpy()
        titles = {name: self.sample_title(name, trainer) for name in [*seen.layers, "overview"]}
        drawings = list(self._tab_samples())
        shown_now = self._layouts, self._classes, self._tab_shows_samples(len(shown.inputs))
        return partial(self._project, drawings, seen.layers, classes, logged_step(trainer), titles, *shown_now)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the last layout and an animation of all."""
        super().on_train_end(trainer, pl_module)
        if self.writer is not None:
            with self.guard():
                step, synchronous = logged_step(trainer), self.on_error == "raise"
                if self._shown_version == self.probe.version and self._tab_shows_samples(len(self._classes[0])):
                    rest = partial(self._rest, list(self._tab_samples()))
                    self.writer.compute(rest, step, self.account, synchronous, key="rest")
                if self.history:
                    self.writer.compute(self._film, step, self.account, synchronous, key="film")

    # ---- on the thread for computations

    def _project(
        self,
        drawings: list[Drawing],
        layers: dict[str, torch.Tensor],
        predicted: npt.NDArray[np.integer],
        step: int,
        titles: Mapping[str, str],
        history: LayoutHistory,
        classes: tuple[npt.NDArray[np.intp], list[str]],
        known: bool,
        run: Run,
    ) -> Results:
        latest: dict[tuple[str, Method], LayoutSnapshot] = {}
        self._unsent = []
        for name in list(layers):
            with self.account.guard():  # if one layer fails, the others are still drawn
                components = run(partial(principal_components, layers.pop(name), seed=self.seed))
                for method in self.methods:
                    last = history.last(name, method, len(components))
                    lay_out = partial(project, components, method=method, perplexity=self.perplexity, init=last)
                    layout = run(partial(lay_out, seed=self.seed))
                    numbers = run(partial(measure, layout, classes[0], values=components, last=last))
                    latest[name, method] = snapshot = LayoutSnapshot(step, titles[name], layout, numbers)
                    history.add(name, method, snapshot)
                    draw = partial(projection_chart, layout, *classes, method=method, numbers=numbers)
                    drawings.append((f"{self.tag}/{name}/{method}", partial(draw, title=titles[name])))
                    record = partial(projection_tab_data, name, method, layout, predicted, numbers)
                    # The tab has one set of samples for all steps.
                    (drawings if known else self._unsent).append((f"cnnviz/projection/{name}/{method}", record))
        if len(self.selected) * len(self.methods) > 1 and latest:
            layouts = {key: snapshot.layout for key, snapshot in latest.items()}
            measured = {key: snapshot.quality for key, snapshot in latest.items()}
            draw = partial(projection_overview, layouts, *classes, numbers=measured, title=titles["overview"])
            drawings.append((f"{self.tag}/overview", draw))
        return drawings, {
            f"{self.tag}/{layer}/{method}/{quantity}": value
            for (layer, method), snapshot in latest.items()
            for quantity, value in snapshot.quality.known().items()
        }

    def _rest(self, samples: list[Drawing], run: Run) -> Results:
        """The last layouts of a run that has ended before any validation, which would have given other samples."""
        return [*samples, *self._unsent], {}

    def _film(self, run: Run) -> Results:
        drawings = []
        for (name, method), snapshots in self._layouts.snapshots.items():
            if len(snapshots) > 1:
                _, titles, layouts, numbers = zip(*snapshots, strict=True)
                draw = partial(projection_film, layouts, *self._classes, method=method)
                draw = partial(draw, titles=titles, numbers=numbers)
                drawings.append((f"{self.tag}/{name}/{method}/film", draw))
        return drawings, {}
