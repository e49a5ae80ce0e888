"""How the classes come apart in a layer through training."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.callbacks.base import Drawing, Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.functional.projection import FEWEST_SAMPLES, Method, project, projection_chart
from lightning_cnnviz.layers import last_hidden_layer, select_layers
from lightning_cnnviz.probe import Probe


class EmbeddingProjection(ProbingCallback):
    """Draws a layer's activations for many samples in the plane: image `projection/<layer>/<method>`.

    Activations of a fixed, class-balanced sample are reduced to 50 dimensions by PCA and laid out by t-SNE, or
    to 2 by PCA. Each layout starts from the last one, so that points move instead of jumping. Layouts are kept
    in the checkpoint, so that a resumed run goes on from them.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"fc*"`; `.input` behind a name shows what the layer receives.
            Default: the last hidden layer, i.e. what the last layer with weights receives.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        method: `"tsne"` or `"pca"`.
        num_samples: Samples in the layout, at least 5.
        perplexity: t-SNE's effective number of neighbours, above 1; lowered to a third of the samples where
            there are too few, and written on the picture.
        probe: Where the samples come from; the first `num_samples` of it are shown. Default: a `Probe` that
            finds them in the trainer's validation data.
        seed: Of the randomised parts.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> EmbeddingProjection(method="pca", every_n_epochs=5).method
        'pca'
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "projection",
        on_error: OnError = "warn",
        method: Method = "tsne",
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
        if method not in ("tsne", "pca"):
            raise ValueError(f'expected method to be "tsne" or "pca", got {method!r}')
        if num_samples < FEWEST_SAMPLES:
            raise ValueError(f"expected num_samples to be at least {FEWEST_SAMPLES}, got {num_samples}")
        if not perplexity > 1:
            raise ValueError(f"expected perplexity to be above 1, got {perplexity}")
        self.method = method
        self.num_samples = num_samples
        self.perplexity = perplexity
        self.seed = seed
        self._layouts: dict[str, torch.Tensor] = {}

    @property
    def state_key(self) -> str:
        """Tells projections apart in a checkpoint, by tag and method."""
        return self._generate_state_key(tag=self.tag, method=self.method)

    def state_dict(self) -> dict[str, Any]:
        """The last layouts, layer → points of shape (samples, 2)."""
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
        if not self._selected:
            with trainer.precision_plugin.forward_context():
                few = trainer.precision_plugin.convert_input(samples.inputs[:2].to(module.device))
                self._selected = [last_hidden_layer(module, few)]
        shown, seen = self._look(trainer, module, self._selected, self.num_samples)
        if self._writer is None or not self._writer.takes_pictures:
            return  # after the forward pass, which every rank takes part in
        for name in seen.layers:
            with self._forgiving():  # one layer that can't be laid out leaves the others their pictures
                last = self._layouts.get(name)
                layout = project(
                    seen.layers[name],
                    method=self.method,
                    perplexity=self.perplexity,
                    init=last.numpy() if last is not None and len(last) == len(shown.inputs) else None,
                    seed=self.seed,
                )
                self._layouts[name] = torch.from_numpy(layout.points)
                draw = partial(projection_chart, layout, shown.targets.numpy(), shown.class_names, method=self.method)
                yield f"{self.tag}/{name}/{self.method}", partial(draw, title=self._title(name, trainer))
