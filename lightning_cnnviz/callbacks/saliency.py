"""Saliency of a few fixed samples during training: which places speak for a class."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.data.samples import Samples
from lightning_cnnviz.errors import names_list, whole_number
from lightning_cnnviz.functional.saliency.attribution import (
    METHODS,
    Attribution,
    Method,
    attributions,
    require_captum,
)
from lightning_cnnviz.functional.saliency.explained import Explained, saliency_layer
from lightning_cnnviz.functional.saliency.saliency_sheet import saliency_sheet
from lightning_cnnviz.functional.tab.saliency import saliency_tab_data
from lightning_cnnviz.model.capture import check_one_input
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.layers import select_layers
from lightning_cnnviz.model.sharding import skip_if_sharded
from lightning_cnnviz.output.writer import Drawing


class Saliency(ProbingCallback):
    """Draws which places of an input speak for its class: images `saliency/grad_cam/<layer>`, `saliency/<method>`.

    For each sample there is a map for its true class and, where it is another, one for the class that the model
    predicts: laid over the sample, and by itself with its scale. A copy of the model computes them in evaluation mode
    and in the training's precision, through captum. Read the page of the documentation on what such maps cannot show.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Of Grad-CAM: exact names or globs such as `"features.*"`, of layers that return maps or patch tokens.
            Default: the last convolution on which a class score depends; of a
            vision transformer the `nn.LayerNorm` before its last attention.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        methods: `"grad_cam"`, `"integrated_gradients"`, `"occlusion"` or a list of them; see
            `lightning_cnnviz.functional.Attribution`. The first takes one pass forward and back, the second `steps`
            of them, the third some 50 passes forward.
        num_images: Samples per picture.
        steps: Points on the way of integrated gradients.
        window: Side of an occluded window in pixels. Default: a quarter of each side.
        baseline: What stands for nothing: `"mean"`, the samples' mean in each channel, or a number in the units of
            the model's inputs.
        probe: Source of the samples; its first `num_images` are shown. Default: a `Probe` of the validation.

    Raises:
        ImportError: If captum is not installed.
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer. A layer without
            places or gradient, and a model whose classes are unknown, get one warning; the others are drawn.

    Example:
        >>> Saliency(methods=["grad_cam", "occlusion"], window=5, every_n_epochs=5).methods
        ['grad_cam', 'occlusion']
    """

    guide = Guide("Images", "saliency/…", "which places of an image speak for its true and its predicted class")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "saliency",
        on_error: OnError = "warn",
        methods: Method | Sequence[Method] = "grad_cam",
        num_images: int = 8,
        steps: int = 32,
        window: int | None = None,
        baseline: float | Literal["mean"] = "mean",
        probe: Probe | None = None,
    ) -> None:
        self.num_images = whole_number(num_images, "num_images", at_least=1)
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(self.num_images),
        )
        self.methods = cast(list[Method], names_list(methods, "methods"))
        if not self.methods or len(set(self.methods)) < len(self.methods) or not set(self.methods) <= set(METHODS):
            expected = ", ".join(f'"{name}"' for name in METHODS)
            raise ValueError(f"expected methods to be {expected} or a list of them, got {methods!r}")
        require_captum()
        self._attributions = [Attribution(method, steps, window, baseline) for method in self.methods]
        self._sharded = False

    @override
    def state_names(self) -> dict[str, str]:
        """Distinguishes saliency by other methods in a checkpoint."""
        return {"methods": "+".join(self.methods)}

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        names = [name for name, _ in module.named_modules() if name]
        return [] if self.layers is None else select_layers(module, self.layers, names, "layer")

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        super().prepare(trainer, module)
        self._sharded = skip_if_sharded(type(self).__name__, module)  # a gradient needs whole weights

    @override
    def untrained(self, module: LightningModule) -> bool:
        return self.given_samples(module)

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples = self.probe.samples
        if samples is None or self._sharded:
            return []
        count = self.num_images
        shown = samples._replace(inputs=samples.inputs[:count], targets=samples.targets[:count])
        check_one_input(module)
        inputs = trainer.precision_plugin.convert_input(shown.planes.to(module.device))
        copies = evaluating(module, channels_last=shown.channels_last)
        with torch.inference_mode(False), copies as copied, trainer.precision_plugin.forward_context():
            explained = Explained(copied, inputs, self.probe.scores)
            predicted = self.predicted(explained.scores.cpu(), len(inputs))
            pairs = class_pairs(shown.targets, predicted, explained.scores.shape[1])
            return list(self._drawings(trainer, explained, shown, predicted, pairs))

    # ---- internals

    def _drawings(
        self,
        trainer: Trainer,
        explained: Explained,
        shown: Samples,
        predicted: Tensor | None,
        pairs: "Pairs",
    ) -> Iterable[Drawing]:
        if not pairs.samples:
            raise ValueError("neither true nor predicted classes are known, so that there is nothing to explain")
        yield from self._tab_samples()
        draw: dict[str, Any] = {
            "samples": pairs.samples,
            "labels": [role + shown.class_name(number) for role, number in zip(*pairs[1:], strict=True)],
            "captions": _captions(shown, predicted),
        }
        record: dict[str, Any] = {
            "samples": pairs.samples,
            "classes": pairs.classes,
            "count": len(shown.inputs),
            "predicted": None if predicted is None else predicted.tolist(),
        }
        for attribution in self._attributions:
            for layer in self._layers(explained) if attribution.method == "grad_cam" else [None]:
                with self.account.guard():  # if one layer or method fails, the others are still drawn
                    maps = attributions(explained, pairs.samples, pairs.classes, attribution, layer)
                    where = "/".join(filter(None, (attribution.method, layer)))
                    note = "; ".join(filter(None, (attribution.in_words(layer), shown.colours.note)))
                    title = self.sample_title(where, trainer)
                    sheet = partial(saliency_sheet, shown.images, maps=maps, signed=attribution.signed)
                    yield f"{self.tag}/{where}", partial(sheet, title=title, note=note, **draw)
                    data = partial(saliency_tab_data, maps, attribution.method, layer, signed=attribution.signed)
                    yield f"cnnviz/saliency/{where}", self.of_samples(partial(data, **record), shown)

    def _layers(self, explained: Explained) -> Sequence[str]:
        """The layers for Grad-CAM: the user's, or the one that is found when it is asked for first."""
        if not self.selected:
            with self.account.guard():
                self.selected = [saliency_layer(explained)]
        return self.selected


class Pairs(NamedTuple):
    """Which classes are explained of which samples, one entry for each map.

    Attributes:
        samples: Indices of samples.
        roles: What a class is to its sample: `"true: "` or `"pred: "`, empty if both.
        classes: Indices of classes.
    """

    samples: list[int]
    roles: list[str]
    classes: list[int]


def class_pairs(targets: Tensor, predicted: Tensor | None, count: int) -> Pairs:
    """Returns the true and the predicted class of each sample, as far as they are known; once if they are the same.

    Args:
        targets: Class indices, shape (samples,); -1 if unknown.
        predicted: Class indices, shape (samples,), if they are known.
        count: Number of classes.

    Example:
        >>> class_pairs(torch.tensor([2, 0, -1]), torch.tensor([2, 1, 1]), 3)[1:]
        (['', 'true: ', 'pred: ', 'pred: '], [2, 0, 1, 1])
    """
    pairs = Pairs([], [], [])
    for sample, true in enumerate(targets.tolist()):
        pred = None if predicted is None else int(predicted[sample])
        roles = {"": true} if true == pred else {"true: ": true, "pred: ": pred}
        for role, number in roles.items():
            if number is not None and 0 <= number < count:
                for column, value in zip(pairs, (sample, role, number), strict=True):
                    cast(list[Any], column).append(value)
    return pairs


def _captions(shown: Samples, predicted: Tensor | None) -> list[list[str]]:
    return [
        [f"true: {shown.class_name(int(true))}"] * (true >= 0)
        + ([] if predicted is None else [f"pred: {shown.class_name(int(predicted[index]))}"])
        for index, true in enumerate(shown.targets)
    ]
