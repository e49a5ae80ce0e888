"""How many of the samples that SampleHistory names first have a wrong label: `python -m benchmarks.sample_history`.

5 % of FashionMNIST's training labels are changed to another class at random; as many samples are named by the area
under the margin in the CSV of one training. Beside it cleanlab, on what the trained network says of the same samples,
and on what networks say of samples that they were not trained on, for which it needs further trainings.
"""

import argparse
import csv
import logging
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import Switchboard
from lightning_cnnviz import SampleHistory
from recipes.data import FashionMNIST
from recipes.fashion_cnn import FashionCNN

SHARE = 0.05
"""Of the training labels that are changed."""
Ranked = npt.NDArray[np.intp]
"""Numbers of samples, the most suspicious first."""


def changed_labels(targets: Tensor, seed: int) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """Changes some labels to another class at random; returns all labels, and which are changed."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(targets), round(SHARE * len(targets)), replace=False)
    labels, changed = targets.clone(), np.zeros(len(targets), dtype=bool)
    labels[chosen] = (targets[chosen] + torch.from_numpy(random.integers(1, 10, len(chosen)))) % 10
    changed[chosen] = True
    return labels, changed


def train(
    data: list[TensorDataset], options: argparse.Namespace, folder: str = "", callbacks: Sequence[pl.Callback] = ()
) -> FashionCNN:
    """Trains the FashionMNIST CNN on a dataset; a second one, if any, validates it."""
    model = FashionCNN()
    model.dropout.p = options.dropout
    loaders = [DataLoader(one, options.batch_size, shuffle=place == 0) for place, one in enumerate(data)]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=options.epochs,
        callbacks=list(callbacks),
        logger=TensorBoardLogger(folder, name="", version="run") if callbacks else False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, *loaders)
    return model.eval()


def probabilities(model: FashionCNN, images: Tensor) -> npt.NDArray[np.float64]:
    """What a trained network says of images, shape (samples, classes)."""
    with torch.no_grad():
        return torch.cat([model(part).double().softmax(1) for part in images.split(1000)]).numpy()


def named_by_margin(folder: str) -> Ranked:
    """The samples of the training in the CSV of a run, by their area under the margin."""
    with Path(folder, "run", "sample_history.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    return np.array([int(row["sample"]) for row in sorted(rows, key=lambda row: int(row["margin_rank"]))])


def named_by_cleanlab(labels: Tensor, said: npt.NDArray[np.float64]) -> dict[str, Ranked]:
    """The samples that cleanlab takes for wrongly labelled, in its order, and all by the quality of their label."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    return {
        "find_label_issues": find_label_issues(labels.numpy(), said, return_indices_ranked_by="self_confidence"),
        "get_label_quality_scores": np.argsort(get_label_quality_scores(labels.numpy(), said), kind="stable"),
    }


def held_out(images: Tensor, labels: Tensor, folds: int, options: argparse.Namespace) -> npt.NDArray[np.float64]:
    """What networks say of the samples on which they were not trained: one training for each fold."""
    fold = np.random.default_rng(options.seed).integers(folds, size=len(labels))
    said = np.zeros((len(labels), 10))
    for number in range(folds):
        rest = torch.from_numpy(fold != number)
        model = train([TensorDataset(images[rest], labels[rest])], options)
        said[~rest.numpy()] = probabilities(model, images[~rest])
    return said


def main() -> None:
    """Trains, and prints which share of the samples that each method names first was changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dropout", type=float, default=0.5, help="of the network")
    parser.add_argument("--folder", help="in which the run is kept, to be looked at in TensorBoard")
    parser.add_argument("--folds", type=int, default=0, help="of cleanlab's cross-validation; 0: without")
    parser.add_argument("--only-ours", action="store_true", help="without cleanlab, which then need not be installed")
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    pl.seed_everything(options.seed, verbose=False)
    source = FashionMNIST()
    (images, targets), held = source.load(train=True), TensorDataset(*source.load(train=False))
    labels, changed = changed_labels(targets, options.seed)
    most = int(changed.sum())

    def report(name: str, ranked: Ranked) -> None:
        print(f"{name}: {100 * changed[ranked[:most]].mean():.1f} % of the first {most} were changed", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        callback = SampleHistory()
        board, start = Switchboard([callback]), time.perf_counter()
        model = train([TensorDataset(images, labels), held], options, folder, [callback])
        seconds = time.perf_counter() - start
        hooks = sum(call.seconds for call in board.calls if call.hook not in ("teardown", "on_fit_start"))
        print(f"training {seconds:.0f} s, with hooks / bare {seconds / (seconds - hooks):.4f}")
        report("area under the margin", named_by_margin(folder))
    if options.only_ours:
        return
    for name, ranked in named_by_cleanlab(labels, probabilities(model, images)).items():
        report(f"cleanlab's {name}, another pass of the same network", ranked)
    if options.folds:
        said = held_out(images, labels, options.folds, options)
        for name, ranked in named_by_cleanlab(labels, said).items():
            report(f"cleanlab's {name}, {options.folds} further trainings", ranked)


if __name__ == "__main__":
    main()
