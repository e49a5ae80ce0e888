"""What saliency finds and what it costs: `python -m benchmarks.saliency`.

A mark in the corner of all images of one class of MNIST, on which a network then relies: how much of the maps lies
there. What is left of the maps of a trained network as its layers are randomised, one after the other from the last.
And the processor time that a picture takes on the training thread, in steps of the training: with OMP_NUM_THREADS=1
that is all that either computes, and other processes hardly disturb the figure.
"""

import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import OptimizerCallable
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.models import CASES, LAYER_DROP, fit
from lightning_cnnviz import Probe, Saliency
from lightning_cnnviz.functional import Attribution, attribute, weights_of
from recipes.classifier import Classifier
from recipes.data import MNIST
from recipes.lenet5 import LeNet5

SEEDS = range(5)
TRAINED, SHOWN = 20_000, 100
"""Images to train on, and images of the marked class to look at."""
CLASS, MARK, CORNER = 3, (slice(2, 6), slice(2, 6)), (slice(0, 10), slice(0, 10))
"""The marked class; rows and columns of the mark, and of the corner around it."""
METHODS = {name: Attribution(name) for name in ("grad_cam", "integrated_gradients", "occlusion")}
RECTIFIED = "grad_cam behind the ReLU"
DUE = 30
"""Steps between pictures whose time is taken."""


class Pooled(Classifier):
    """Three convolutions and the mean over all places, behind which a single linear layer gives the scores.

    Takes images (N, 1, 28, 28).
    """

    def __init__(self, optimizer: OptimizerCallable) -> None:
        super().__init__(optimizer, num_classes=10)
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 28, 28) to logits (N, 10)."""
        return self.layers(images)


NETWORKS: dict[str, tuple[Callable[[OptimizerCallable], Classifier], str]] = {
    "LeNet-5": (LeNet5, "relu2"),
    "global pooling": (Pooled, "layers.10"),
}
"""Name → the network, and the ReLU behind its last convolution."""


def marked(images: Tensor) -> Tensor:
    """Images (N, 1, 28, 28) with a white square."""
    images = images.clone()
    images[:, :, MARK[0], MARK[1]] = 1
    return images


def trained(network: str, images: Tensor, targets: Tensor, seed: int) -> Classifier:
    """A network after an epoch."""
    pl.seed_everything(seed, verbose=False)
    model = NETWORKS[network][0](lambda parameters: torch.optim.Adam(parameters, lr=1e-3))
    loader = DataLoader(TensorDataset(images, targets), batch_size=64, shuffle=True)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    pl.Trainer(accelerator="cpu", max_epochs=1, logger=False, **quiet).fit(model, loader)
    return model.eval()


class Found(NamedTuple):
    """Means over images, 0…1.

    Attributes:
        mark: Share, in the mark, of what speaks for the class.
        corner: Share in the corner around it.
        peak: How often the largest value lies in that corner.
    """

    mark: float
    corner: float
    peak: float


def found(maps: Tensor) -> Found:
    """Where maps look; they become as large as the images."""
    grown = interpolate(maps[:, None], size=(28, 28), mode="bilinear")[:, 0].clamp(min=0)
    grown = grown[grown.sum(dim=(1, 2)) > 0]
    mark, corner = torch.zeros(2, 28, 28)
    mark[MARK] = corner[CORNER] = 1
    total = grown.sum(dim=(1, 2))
    shares = [((grown * part).sum(dim=(1, 2)) / total).mean().item() for part in (mark, corner)]
    return Found(*shares, corner.flatten()[grown.flatten(1).argmax(dim=1)].mean().item())


def looked(network: str, model: Classifier, images: Tensor) -> dict[str, Found]:
    """Where the maps of a trained network look, by method."""
    asked = images, [CLASS] * len(images)
    seen = {name: found(attribute(model, *asked, attribution)) for name, attribution in METHODS.items()}
    return seen | {RECTIFIED: found(attribute(model, *asked, layer=NETWORKS[network][1]))}


def marks(network: str, images: Tensor, targets: Tensor, held_out: Tensor, classes: Tensor) -> Iterator[str]:
    """Where maps look if a mark gives a class away, beside a network that never saw it, on the same images."""
    own, others = held_out[classes == CLASS][:SHOWN], held_out[classes != CLASS][:1000]
    plain, targets = images[:TRAINED], targets[:TRAINED]
    given_away = torch.where((targets == CLASS)[:, None, None, None], marked(plain), plain)
    seen: dict[str, list[tuple[Found, Found]]] = {}
    for seed in SEEDS:
        model = trained(network, given_away, targets, seed)
        with torch.no_grad():
            without, fooled = ((model(part).argmax(1) == CLASS).float().mean() for part in (own, marked(others)))
        yield (
            f"{network}, seed {seed}: without the mark {without:.0%} of the class are found, with it {fooled:.0%} of "
            f"the others are taken for it"
        )
        control = looked(network, trained(network, plain, targets, seed), marked(own))
        for name, figures in looked(network, model, marked(own)).items():
            seen.setdefault(name, []).append((figures, control[name]))
    for name, pairs in seen.items():
        for what in Found._fields:
            values, without = ([getattr(figures, what) for figures in part] for part in zip(*pairs, strict=True))
            spread = f"{min(values):.2f} … {max(values):.2f}"
            yield (
                f"{network}, {name}, {what}: {statistics.fmean(values):.2f} ({spread}), of a network that never saw "
                f"the mark {statistics.fmean(without):.2f}"
            )


def randomised(images: Tensor, targets: Tensor, held_out: Tensor, classes: Tensor) -> Iterator[str]:
    """Rank correlation with the trained network's maps, as its layers are randomised from the last to the first."""
    model, shown = trained("LeNet-5", images[:TRAINED], targets[:TRAINED], seed=0), slice(0, SHOWN)
    asked = held_out[shown], classes[shown]
    before = {name: attribute(model, *asked, attribution, layer="conv2") for name, attribution in METHODS.items()}
    torch.manual_seed(1)
    for layer in reversed(list(weights_of(model, [name for name, _ in model.named_modules()]))):
        part = model.get_submodule(layer)
        assert isinstance(part, (nn.Conv2d, nn.Linear))
        part.reset_parameters()
        figures = []
        for name, attribution in METHODS.items():
            now = attribute(model, *asked, attribution, layer="conv2")
            pairs = zip(now.flatten(1), before[name].flatten(1), strict=True)
            ranks = [spearmanr(one, other).statistic for one, other in pairs if one.any() and other.any()]
            figures.append(f"{name} {statistics.fmean(ranks):.2f}")
        yield f"randomised down to {layer}: {', '.join(figures)}"


class Watch(pl.Callback):
    """Takes the time of training steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Begins."""
        self._begin = time.thread_time()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Ends."""
        self.seconds.append(time.thread_time() - self._begin)


class Timed(Saliency):
    """Takes the time of its own pictures."""

    def draw(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draws."""
        begin = time.thread_time()
        super().draw(trainer, module)
        self.seconds = [*vars(self).get("seconds", []), time.thread_time() - begin]


def costs() -> Iterator[str]:
    """Grad-CAM of 16 samples, in training steps of 64."""
    for network, case in CASES.items():
        if network == LAYER_DROP:  # leaves out layers in evaluation, too: also the one that would be looked at
            continue
        data = case.data()
        data.prepare_data()
        data.setup("fit")
        images, targets = next(iter(data.train_dataloader()))
        probe = Probe.from_tensors(images[:16], targets[:16])
        watch, timed = Watch(), Timed(num_images=16, every_n_train_steps=DUE, probe=probe)
        pictures = 10 if network != "VGG-16" else 3
        fit(case.model(), data, [watch, timed], limit_val_batches=0, max_steps=pictures * DUE)
        step, picture = statistics.median(watch.seconds[DUE:]), statistics.median(timed.seconds[1:-1])
        yield f"{network}: a step {1e3 * step:.1f} ms, a picture {1e3 * picture:.1f} ms: {picture / step:.2f} steps"


def main() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    data = MNIST()
    images, targets = data.load(train=True)
    held_out, classes = data.load(train=False)
    parts = {
        "marks": lambda: chain.from_iterable(marks(name, images, targets, held_out, classes) for name in NETWORKS),
        "randomised": lambda: randomised(images, targets, held_out, classes),
        "costs": costs,
    }
    for part in sys.argv[1:] or parts:
        for line in parts[part]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
