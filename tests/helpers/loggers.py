"""Loggers of several makers, and what their files hold, read back without our code."""

import csv
import io
import json
import struct

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from helpers.tiny import events, fit
from lightning_cnnviz import ActivationStats, Architecture, EmbeddingProjection, GradientFlow, KernelGrid

OURS = ("cnnviz/", "gradient_flow/", "projection/", "activations/")


FILM = "projection/act/pca/film"


def make(kind, folder, **options):
    """A logger that writes into a folder, or a skip."""
    if kind == "wandb":
        pytest.importorskip("wandb")
        return WandbLogger(offline=True, save_dir=folder, project="sinks")
    if kind == "mlflow":
        pytest.importorskip("mlflow")
        return MLFlowLogger(save_dir=str(folder / "mlruns"), **options)
    return CSVLogger(folder, name="csv", version="")


def finish():
    """Ends the run and its service: the run alone ends before all of it is in its file."""
    import wandb

    wandb.finish()
    wandb.teardown()


def of_tensorboard(folder):
    """Pictures as (tag, step) → file and numbers as (tag, step) → value."""
    found = events(folder)
    pictures = {
        (tag, image.step): image.encoded_image_string for tag in found.Tags()["images"] for image in found.Images(tag)
    }
    tags = [tag for tag in found.Tags()["scalars"] if tag.startswith(OURS)]
    return pictures, {(tag, event.step): event.value for tag in tags for event in found.Scalars(tag)}


def of_csv(folder):
    root = folder / "csv" / "cnnviz"
    files = {(path.parent.relative_to(root).as_posix(), int(path.stem)): path for path in root.rglob("*.png")}
    numbers = {}
    with open(folder / "csv" / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            numbers |= {(tag, step): float(value) for tag, value in row.items() if tag.startswith(OURS) and value}
    return {key: path.read_bytes() for key, path in files.items()}, numbers


def records(data, block=32768):
    """Records of LevelDB's log format, https://github.com/google/leveldb/blob/main/doc/log_format.md."""
    place, parts = 7, []  # behind the head of the file
    while place < len(data):
        if block - place % block < 7:  # the rest of a block that has no room for the head of a record
            place += block - place % block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts.append(data[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def records_of_wandb(folder, kind):
    """The records of one kind in the run's file."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == kind:
            yield getattr(record, kind)


def metrics_of_wandb(folder):
    """The definitions of metrics, each with its name and the metric that is its x-axis."""
    return list(records_of_wandb(folder, "metric"))


def rows_of_wandb(folder):
    """The run's history as it was written, with each row's own step."""
    for history in records_of_wandb(folder, "history"):
        row = {}
        for item in history.item:
            key, *inner = item.nested_key or [item.key]
            value = json.loads(item.value_json)
            row[key] = {**row.get(key, {}), inner[0]: value} if inner else value
        yield history.step.num, row


def of_wandb(folder):
    (files,) = folder.glob("wandb/offline-run-*/files")
    pictures, numbers = {}, {}
    for _, row in rows_of_wandb(folder):
        for key, value in row.items():
            kind = "pictures" if isinstance(value, dict) else "numbers"
            step = row.get(f"cnnviz/step/{kind}/{key.partition('/')[0]}")
            if isinstance(value, dict) and value.get("_type") == "image-file":
                assert (key, step) not in pictures
                pictures[key, step] = (files / value["path"]).read_bytes()
            elif key.startswith(OURS) and not key.startswith("cnnviz/step/") and not isinstance(value, dict):
                numbers[key, step] = float(value)
    return pictures, numbers


def of_mlflow(folder, run_id):
    from mlflow import MlflowClient

    client = MlflowClient(f"file:{folder / 'mlruns'}")
    (root,) = folder.glob(f"mlruns/*/{run_id}/artifacts")
    pictures = {}
    for path in root.glob("images/*.png"):
        key, _, step, *_ = path.name.replace("%", "+").split("+")
        pictures[key.replace("~", "/").replace("#", "/"), int(step)] = path.read_bytes()
    tags = [tag for tag in client.get_run(run_id).data.metrics if tag.startswith(OURS)]
    numbers = {(tag, m.step): m.value for tag in tags for m in client.get_metric_history(run_id, tag)}
    return pictures, numbers


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def same_numbers(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-6, nan_ok=True), key


def fit_beside_tensorboard(kind, folder):
    """A run with TensorBoard's logger and another one; returns the other."""
    other, board = make(kind, folder), TensorBoardLogger(folder, name="run", version="")
    visuals = [KernelGrid(), GradientFlow(), Architecture(), ActivationStats()]
    visuals.append(EmbeddingProjection(method="pca", num_samples=20))
    fit(folder, visuals, logger=[board, other])
    if kind == "wandb":
        finish()
    assert all(not visual.account.failures for visual in visuals)
    return other
