"""Weights of earlier epochs in a run folder, from which all views of the partition can be drawn again."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.partition import partition
from lightning_cnnviz.functional.partition_panels import Points
from lightning_cnnviz.functional.partition_views import PartitionViews
from lightning_cnnviz.functional.plane_model import Bounds, PlaneModel

FOLDER = "partition_history"
DATA = "data.pt"


def save_data(
    folder: Path, train: Points, test: Points | None, class_names: Sequence[str], bounds: Bounds, shape: Sequence[int]
) -> None:
    """Saves what the views show beside the weights.

    Args:
        folder: The history's folder; made if it is not there.
        train: Training data.
        test: Held-out data.
        class_names: A name for each class number.
        bounds: The rectangle.
        shape: Of one input as the model takes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sets = {
        name: data and [torch.from_numpy(part) for part in data] for name, data in (("train", train), ("test", test))
    }
    torch.save({**sets, "class_names": list(class_names), "bounds": bounds, "shape": tuple(shape)}, folder / DATA)


def save_weights(folder: Path, model: nn.Module, epoch: int, step: int, at_most: int) -> None:
    """Saves the weights of a model; where there are too many, the file goes that leaves the smallest gap.

    Args:
        folder: The history's folder.
        model: The model.
        epoch: Epochs done.
        step: Optimizer steps done; a file of the same step is written again.
        at_most: Files to keep; the first and the last always stay.
    """
    state = {
        name: value.detach().cpu() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)
    }
    torch.save({"epoch": epoch, "step": step, "state_dict": state}, _path(folder, step))
    steps = saved_steps(folder)
    while len(steps) > max(at_most, 2):
        gaps = [later - earlier for earlier, later in zip(steps, steps[2:], strict=False)]
        _path(folder, steps.pop(1 + int(np.argmin(gaps)))).unlink()


def drop_later(folder: Path, step: int) -> None:
    """Removes what a run that begins again at a step had saved beyond it."""
    for later in saved_steps(folder):
        if later > step:
            _path(folder, later).unlink()


def saved_steps(folder: Path) -> list[int]:
    """The steps that were saved, in order.

    Example:
        >>> saved_steps(Path("nowhere"))
        []
    """
    return sorted(int(path.stem.removeprefix("step=")) for path in folder.glob("step=*.pt"))


def load_weights(folder: Path, epoch: int | None = None) -> dict[str, Any]:
    """The weights that a run had at an epoch.

    Args:
        folder: The history's folder.
        epoch: Epochs done; of those saved the last that is not later. Default: the last.

    Returns:
        `epoch`, `step` and `state_dict`.

    Raises:
        FileNotFoundError: If nothing is saved, or nothing so early.
    """
    saved = [torch.load(_path(folder, step), weights_only=True) for step in saved_steps(folder)]
    fitting = [entry for entry in saved if epoch is None or entry["epoch"] <= epoch]
    if not fitting:
        epochs = ", ".join(str(entry["epoch"]) for entry in saved)
        raise FileNotFoundError(
            f"expected weights of epoch {epoch} or before in {folder}, got epochs: {epochs or 'none'}"
        )
    chosen: dict[str, Any] = fitting[-1]
    return chosen


def redraw(model: nn.Module, run_folder: str | Path, epoch: int | None = None, **options: Any) -> dict[str, Picture]:
    """Draws all views of an earlier epoch of a run with `InputPartition`.

    Args:
        model: A model of the same layers; it stays as it is.
        run_folder: The run's folder, e.g. `"runs/circles/version_0"`.
        epoch: As in `load_weights`.
        **options: `max_cells` of `partition` and `max_units` of `PartitionViews`.

    Returns:
        View, such as `"fc1/cells"`, → picture.

    Raises:
        FileNotFoundError: If the run has no weights of that epoch or before.
        ValueError: If model and weights do not fit.
    """
    folder = Path(run_folder) / FOLDER
    weights = load_weights(folder, epoch)
    data = torch.load(folder / DATA, weights_only=True)
    train, test = (data[name] and Points(*(part.numpy() for part in data[name])) for name in ("train", "test"))
    model = copy.deepcopy(model)
    try:
        model.load_state_dict(weights["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"expected a model that the weights in {folder} fit: {error}") from error
    plane = PlaneModel(model, data["shape"])
    cells = {"max_cells": options.pop("max_cells")} if "max_cells" in options else {}
    views = PartitionViews(
        plane,
        partition(plane, data["bounds"], **cells),
        train,
        test,
        data["class_names"],
        caption=f"epoch {weights['epoch']} · step {weights['step']}",
        **options,
    )
    return {view: draw() for view, draw in views.all().items()}


def _path(folder: Path, step: int) -> Path:
    return folder / f"step={step}.pt"
