"""Training time with our callbacks as a ratio to bare training: `python -m benchmarks.overhead`.

Trains the FashionMNIST CNN again and again, bare and with callbacks in turn, so that whatever else the machine
does hits all alike. Ratios are taken within a round; bare against bare shows the noise floor.
"""

import argparse
import json
import logging
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_cnnviz import cnnviz_callbacks
from lightning_cnnviz.callbacks.embedding_projection import EmbeddingProjection
from recipes.data import FashionMNIST
from recipes.fashion_cnn import FashionCNN


def without_projection() -> list[pl.Callback]:
    return [callback for callback in cnnviz_callbacks() if not isinstance(callback, EmbeddingProjection)]


VARIANTS: dict[str, Callable[[], list[pl.Callback]]] = {
    "bare": list,
    "bare again": list,
    "standard without projection": without_projection,
    "standard": cnnviz_callbacks,
}


def train(callbacks: list[pl.Callback], data: FashionMNIST, epochs: int, folder: str) -> float:
    """Seconds that `Trainer.fit` takes."""
    pl.seed_everything(0, verbose=False)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    start = time.perf_counter()
    trainer.fit(FashionCNN(), datamodule=data)
    return time.perf_counter() - start


def costs(folder: str) -> dict[str, float]:
    """Seconds on the training thread that each callback reported."""
    reader = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in reader.Tags()["scalars"] if tag.startswith("cnnviz/cost/")]
    return {tag.split("/")[-1]: sum(event.value for event in reader.Scalars(tag)) / 1000 for tag in tags}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that each variant is trained (default: 5)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of a training (default: 2)")
    parser.add_argument("--batch-size", type=int, default=64, help="samples in a batch (default: 64)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")

    data = FashionMNIST(batch_size=arguments.batch_size)
    data.prepare_data()
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    on_thread: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        train([], data, 1, f"{folder}/warm-up")
    for number in range(arguments.rounds):
        for name, make in VARIANTS.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(train(make(), data, arguments.epochs, folder))
                if name == "standard":
                    for callback, cost in costs(folder).items():
                        on_thread.setdefault(callback, []).append(cost / seconds[name][-1])
        print(
            f"round {number + 1} of {arguments.rounds}: " + ", ".join(f"{n} {s[-1]:.1f} s" for n, s in seconds.items())
        )

    ratios = {
        name: [taken / bare for taken, bare in zip(values, seconds["bare"], strict=True)]
        for name, values in seconds.items()
        if name != "bare"
    }
    print(f"\nFashionMNIST CNN, batch {arguments.batch_size}, {arguments.epochs} epochs, {arguments.rounds} rounds")
    print(f"{'variant':<30}{'seconds':>9}{'ratio to bare':>15}{'smallest':>10}{'largest':>9}")
    print(f"{'bare':<30}{statistics.median(seconds['bare']):>9.1f}{1:>15.3f}")
    for name, values in ratios.items():
        middle = statistics.median(values)
        print(
            f"{name:<30}{statistics.median(seconds[name]):>9.1f}{middle:>15.3f}{min(values):>10.3f}{max(values):>9.3f}"
        )
    print(f"\n{'callback (in the standard set)':<34}{'share of fit on the training thread':>36}")
    for callback, shares in sorted(on_thread.items(), key=lambda item: -statistics.median(item[1])):
        print(f"{callback:<34}{statistics.median(shares):>36.2%}")
    if arguments.json:
        figures = {
            "model": "FashionMNIST CNN",
            "batch_size": arguments.batch_size,
            "epochs": arguments.epochs,
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "seconds": seconds,
            "ratio_to_bare": ratios,
            "share_on_training_thread": on_thread,
        }
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
