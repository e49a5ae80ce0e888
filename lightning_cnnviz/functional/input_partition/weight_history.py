"""Weights of earlier epochs in a run folder, from which all views of the partition can be drawn again."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.input_partition.cells import partition
from lightning_cnnviz.functional.input_partition.panels import Points
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel
from lightning_cnnviz.functional.input_partition.views import PartitionViews

DATA = "data.pt"


def history_folder(run_folder: str | Path, tag: str = "partition") -> Path:
    """Where a callback with this tag keeps the weights of a run.

    Example:
        >>> history_folder("runs/circles/version_0").name
        'partition_history'
    """
    return Path(run_folder) / f"{file_name(tag)}_history"


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
        at_most: Files to keep, at least 1; the last always stays, and of several the first.
    """
    state = {
        name: value.detach().cpu() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)
    }
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "unfinished"
    try:
        torch.save({"epoch": epoch, "step": step, "state_dict": state}, unfinished)
        unfinished.replace(_path(folder, step))  # a crash leaves no half a file under this name
    finally:
        unfinished.unlink(missing_ok=True)  # nor does a full disk
    steps = saved_steps(folder)
    while len(steps) > at_most:
        gaps = [later - earlier for earlier, later in zip(steps, steps[2:], strict=False)]
        _path(folder, steps.pop(1 + int(np.argmin(gaps)) if gaps else 0)).unlink()


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
    epochs: list[str] = []
    for step in reversed(saved_steps(folder)):
        saved: dict[str, Any] = torch.load(_path(folder, step), weights_only=True)
        if epoch is None or saved["epoch"] <= epoch:
            return saved
        epochs.insert(0, str(saved["epoch"]))
    raise FileNotFoundError(
        f"expected weights of epoch {epoch} or before in {folder}, got epochs: {', '.join(epochs) or 'none'}"
    )


def redraw(
    model: nn.Module, run_folder: str | Path, epoch: int | None = None, *, tag: str = "partition", **options: Any
) -> dict[str, Picture]:
    """Draws all views of an earlier epoch of a run with `InputPartition`.

    Args:
        model: A model of the same layers; it stays as it is.
        run_folder: The run's folder, e.g. `"runs/circles/version_0"`.
        epoch: As in `load_weights`.
        tag: The callback's.
        **options: `max_cells` of `partition` and `max_units` of `PartitionViews`.

    Returns:
        View, such as `"fc1/cells"`, → picture.

    Raises:
        FileNotFoundError: If the run has no weights of that epoch or before.
        ValueError: If model and weights do not fit.
    """
    folder = history_folder(run_folder, tag)
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
