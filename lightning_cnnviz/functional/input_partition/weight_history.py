"""History of a model's weights in a run folder, from which all partition views can be redrawn."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.input_partition.cells import partition
from lightning_cnnviz.functional.input_partition.panels import Points
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel
from lightning_cnnviz.functional.input_partition.views import PartitionViews
from lightning_cnnviz.functional.thinning import most_dispensable

DATA_FILE = "data.pt"


def history_folder(run_folder: str | Path, tag: str = "partition") -> Path:
    """Returns the folder in which a callback with this tag keeps the weights of a run.

    Example:
        >>> history_folder("runs/circles/version_0").name
        'partition_history'
    """
    return Path(run_folder) / f"{file_name(tag)}_history"


def save_data(
    folder: Path, train: Points, test: Points | None, class_names: Sequence[str], bounds: Bounds, shape: Sequence[int]
) -> None:
    """Saves everything that the views need apart from the weights.

    Args:
        folder: Folder of the history; created if missing.
        train: Training data.
        test: Held-out data, or None.
        class_names: A name for each class index.
        bounds: The rectangle that is partitioned.
        shape: Shape of one model input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sets = {
        name: data and [torch.from_numpy(part) for part in data] for name, data in (("train", train), ("test", test))
    }
    torch.save({**sets, "class_names": list(class_names), "bounds": bounds, "shape": tuple(shape)}, folder / DATA_FILE)


def save_weights(folder: Path, model: nn.Module, epoch: int, step: int, at_most: int) -> None:
    """Saves the weights of a model; if there are too many files, deletes the one that leaves the smallest gap.

    Args:
        folder: Folder of the history; created if missing.
        model: The model.
        epoch: Completed epochs.
        step: Completed optimizer steps; an existing file of the same step is overwritten.
        at_most: Maximum number of files, at least 1. The last file is always kept, and the first if `at_most` > 1.
    """
    state = {
        name: value.detach().cpu() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)
    }
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "unfinished"
    try:
        torch.save({"epoch": epoch, "step": step, "state_dict": state}, unfinished)
        unfinished.replace(_path(folder, step))  # atomic: a crash never leaves a partial file under the final name
    finally:
        unfinished.unlink(missing_ok=True)  # e.g. after the disk was full
    steps = saved_steps(folder)
    while len(steps) > at_most:
        _path(folder, steps.pop(most_dispensable(steps) if len(steps) > 2 else 0)).unlink()


def drop_later(folder: Path, step: int) -> None:
    """Deletes the weights saved after a step, when a run resumes from that step."""
    for later in saved_steps(folder):
        if later > step:
            _path(folder, later).unlink()


def saved_steps(folder: Path) -> list[int]:
    """Returns the steps with saved weights, ascending.

    Example:
        >>> saved_steps(Path("nowhere"))
        []
    """
    return sorted(int(path.stem.removeprefix("step=")) for path in folder.glob("step=*.pt"))


def load_weights(folder: Path, epoch: int | None = None) -> dict[str, Any]:
    """Loads the weights of a run at an epoch.

    Args:
        folder: Folder of the history.
        epoch: Completed epochs; the last saved weights up to this epoch are loaded. Default: the last of all.

    Returns:
        A dict with `epoch`, `step` and `state_dict`.

    Raises:
        FileNotFoundError: If there are no saved weights up to that epoch.
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
    """Redraws all views of an earlier epoch of a run with `InputPartition`.

    Args:
        model: A model with the same layers; left unchanged.
        run_folder: Folder of the run, e.g. `"runs/circles/version_0"`.
        epoch: As in `load_weights`.
        tag: Tag of the callback.
        **options: `max_cells` of `partition` and `max_units` of `PartitionViews`.

    Returns:
        Name of the view, e.g. `"fc1/cells"`, → picture.

    Raises:
        FileNotFoundError: If the run has no weights up to that epoch.
        ValueError: If the weights do not fit the model.
    """
    folder = history_folder(run_folder, tag)
    weights = load_weights(folder, epoch)
    data = torch.load(folder / DATA_FILE, weights_only=True)
    train, test = (data[name] and Points(*(part.numpy() for part in data[name])) for name in ("train", "test"))
    model = copy.deepcopy(model)
    try:
        model.load_state_dict(weights["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"expected a model that matches the weights in {folder}: {error}") from error
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
