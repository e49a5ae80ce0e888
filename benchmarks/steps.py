"""What the callbacks that look at every step take of it: `python -m benchmarks.steps`.

Times their own hooks one by one within a training on random images, in CPU time of the training thread, which what
else the machine does disturbs least. Drawing, at the end of the epoch, is left out.
"""

import argparse
import json
import logging
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import ClassReport, GradientFlow, LossAccuracy
from recipes.fashion_cnn import FashionCNN
from recipes.lenet5 import LeNet5
from recipes.vgg16 import VGG16

MODELS: dict[str, tuple[Callable[[], pl.LightningModule], int, int]] = {
    "FashionMNIST CNN": (FashionCNN, 28, 300),
    "LeNet-5": (LeNet5, 28, 300),
    "VGG-16": (VGG16, 32, 20),
}
"""Name → the model, the side of its grey images, and how many steps are timed."""
HOOKS = (
    "on_train_batch_start",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_batch_start",
    "on_validation_batch_end",
)
WARM_UP = 5
"""Steps that are not timed."""


class Clock(pl.Callback):
    """Times the training steps, from one batch's end to the next, and hooks of other callbacks within them."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.hooks: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        """Callback → step → CPU seconds of each call."""
        self.longest: dict[str, float] = defaultdict(float)
        """Callback → wall seconds of its longest call, the first steps aside."""
        self.validating = 0.0
        self._last = 0.0

    def watch(self, callback: pl.Callback) -> pl.Callback:
        """Has the hooks of a callback timed."""
        for hook in HOOKS:
            setattr(callback, hook, self._timed(type(callback).__name__, getattr(callback, hook)))
        return callback

    def on_train_batch_end(self, *_: Any) -> None:
        """Ends a step."""
        now = time.thread_time()
        self.steps.append(now - self._last)
        self._last = now

    def on_validation_start(self, *_: Any) -> None:
        """Begins to time the validation."""
        self._last = time.thread_time()

    def on_validation_end(self, *_: Any) -> None:
        """Ends timing the validation."""
        self.validating = time.thread_time() - self._last

    def _timed(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        @wraps(hook)
        def timed(*arguments: Any) -> None:
            wall, start = time.perf_counter(), time.thread_time()
            hook(*arguments)
            self.hooks[name][len(self.steps)].append(time.thread_time() - start)
            if len(self.steps) > WARM_UP:
                self.longest[name] = max(self.longest[name], time.perf_counter() - wall)

        return timed


def random_images(samples: int, side: int, batch_size: int) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(samples, 1, side, side, generator=generator)
    return DataLoader(TensorDataset(images, torch.randint(0, 10, (samples,), generator=generator)), batch_size)


def measure(model: str, batch_size: int = 64, steps: int | None = None) -> dict[str, dict[str, float]]:
    """Times the hooks of GradientFlow, LossAccuracy and ClassReport in one epoch.

    The validation that ends the epoch has a sixth of its steps, as in MNIST and FashionMNIST.

    Args:
        model: A name in `MODELS`.
        batch_size: Images in a batch.
        steps: Training steps that are timed. Default: as `MODELS` says.

    Returns:
        Callback → `step_ms` (training step, median), `hooks_ms` (its hooks per training step, mean; those of a
        validation are spread over the steps of its epoch), `median_ms` (the same, median of the steps) and `share`
        (of training and validation, 0…1), all in CPU time of the training thread, and `longest_ms` (longest single
        call, in wall time).
    """
    make, side, usual = MODELS[model]
    steps = steps or usual
    clock = Clock()
    callbacks = [clock.watch(callback) for callback in (GradientFlow(), LossAccuracy(), ClassReport())]
    loaders = (random_images((part + 1) * batch_size, side, batch_size) for part in (steps + WARM_UP, -(-steps // 6)))
    pl.seed_everything(0, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            num_sanity_val_steps=0,
            callbacks=[*callbacks, clock],
            logger=TensorBoardLogger(folder, name="", version=""),
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(make(), *loaders)
    taken = clock.steps[WARM_UP + 1 :]
    figures = {}
    for name, calls in clock.hooks.items():
        # What comes after the last step is the validation's.
        by_step = [sum(calls[step]) for step in range(WARM_UP + 1, len(clock.steps))]
        validation = sum(calls[len(clock.steps)])
        seconds = sum(by_step) + validation
        figures[name] = {
            "step_ms": 1000 * median(taken),
            "hooks_ms": 1000 * (mean(by_step) + validation / len(by_step)),
            "median_ms": 1000 * median(by_step),
            "longest_ms": 1000 * clock.longest[name],
            "share": seconds / (sum(taken) + clock.validating),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="default: all")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a batch (default: 64)")
    parser.add_argument("--steps", type=int, help="training steps that are timed (default: 300; VGG-16: 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")

    figures = {}
    print(f"batch {arguments.batch_size}, {torch.get_num_threads()} threads; times in milliseconds")
    print(f"{'model':<18}{'callback':<14}{'step':>8}{'hooks per step':>16}{'median':>9}{'longest':>9}{'share':>8}")
    for model in arguments.models:
        figures[model] = measure(model, arguments.batch_size, arguments.steps)
        for callback, row in figures[model].items():
            print(
                f"{model:<18}{callback:<14}{row['step_ms']:>8.2f}{row['hooks_ms']:>16.3f}{row['median_ms']:>9.3f}"
                f"{row['longest_ms']:>9.3f}{row['share']:>8.2%}"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
