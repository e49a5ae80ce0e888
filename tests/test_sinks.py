"""Every logger gets the pictures and numbers that TensorBoard gets: read back from the files of the real libraries."""

import csv
import io
import json
import math
import struct
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from tiny import NumbersLogger, TinyNet, events, fit, image_steps, loaders, trainer

from lightning_cnnviz import Architecture, CostLimit, EmbeddingProjection, GradientFlow, KernelGrid
from lightning_cnnviz.sinks import Sink, sink_for
from lightning_cnnviz.sinks.mlflow import MLflowSink
from lightning_cnnviz.sinks.tensorboard import TensorBoardSink
from lightning_cnnviz.sinks.wandb import WandbSink

OURS = ("cnnviz/", "gradient_flow/", "projection/")
FILM = "projection/act/pca/film"


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, str(home))
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield


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


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """One run with every logger that is installed."""
    folder, loggers = tmp_path_factory.mktemp("several"), []
    for kind in ("csv", "wandb", "mlflow"):
        try:
            loggers.append(make(kind, folder))
        except pytest.skip.Exception:
            continue
    board = TensorBoardLogger(folder, name="run", version="")
    visuals = [KernelGrid(), GradientFlow(), Architecture(), EmbeddingProjection(method="pca", num_samples=20)]
    run = fit(folder, visuals, logger=[board, *loggers])
    if any(isinstance(logger, WandbLogger) for logger in loggers):
        finish()
    assert all(not visual.account.failures for visual in visuals)
    return folder, run


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


def rows_of_wandb(folder):
    """The run's history as it was written, with each row's own step."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            row = {}
            for item in record.history.item:
                key, *inner = item.nested_key or [item.key]
                value = json.loads(item.value_json)
                row[key] = {**row.get(key, {}), inner[0]: value} if inner else value
            yield record.history.step.num, row


def of_wandb(folder):
    (files,) = folder.glob("wandb/offline-run-*/files")
    pictures, numbers = {}, {}
    for _, row in rows_of_wandb(folder):
        step = row.get("trainer/global_step")
        for key, value in row.items():
            if isinstance(value, dict) and value.get("_type") == "image-file":
                assert (key, step) not in pictures
                pictures[key, step] = (files / value["path"]).read_bytes()
            elif key.startswith(OURS) and not isinstance(value, dict):
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


def test_the_csv_logger_has_the_numbers_in_its_file_and_the_pictures_beside_it(several):
    folder, _ = several
    pictures, numbers = of_tensorboard(folder)
    found, values = of_csv(folder)
    assert len(pictures) >= 12
    assert found == pictures
    same_numbers(values, numbers)
    (table,) = events(folder).Tensors("architecture/table/text_summary")
    text = (folder / "csv" / "cnnviz" / "architecture" / "table" / "00000000.md").read_bytes()
    assert text == table.tensor_proto.string_val[0]


def test_weights_and_biases_has_pictures_and_numbers(several):
    pytest.importorskip("wandb")
    folder, _ = several
    pictures, numbers = of_tensorboard(folder)
    found, values = of_wandb(folder)
    assert found == pictures
    same_numbers(values, numbers)
    (table,) = events(folder).Tensors("architecture/table/text_summary")
    (html,) = folder.glob("wandb/offline-run-*/files/media/html/architecture/table*.html")
    assert table.tensor_proto.string_val[0].decode() in html.read_text()


def test_steps_of_weights_and_biases_never_go_back_though_pictures_come_late(several):
    pytest.importorskip("wandb")
    folder, _ = several
    steps = [step for step, _ in rows_of_wandb(folder)]
    assert steps == sorted(set(steps))
    assert len(steps) >= 20


def test_of_weights_and_biases_no_temporary_picture_is_left(several):
    pytest.importorskip("wandb")
    folder, _ = several
    (run,) = folder.glob("wandb/offline-run-*")
    assert len(list(run.rglob("*.png"))) == len(of_tensorboard(folder)[0])
    assert not list(run.glob("*.png"))


def test_mlflow_has_pictures_by_step_numbers_and_the_film_as_a_file(several):
    pytest.importorskip("mlflow")
    folder, run = several
    pictures, numbers = of_tensorboard(folder)
    (logger,) = (logger for logger in run.loggers if isinstance(logger, MLFlowLogger))
    found, values = of_mlflow(folder, logger.run_id)
    film = pictures.pop((FILM, 12))
    assert found.keys() == pictures.keys()
    for key, data in pictures.items():
        np.testing.assert_array_equal(pixels(found[key]), pixels(data))
    same_numbers(values, numbers)
    (kept,) = folder.glob(f"mlruns/*/{logger.run_id}/artifacts/cnnviz/*.png")
    assert kept.read_bytes() == film
    (table,) = folder.glob(f"mlruns/*/{logger.run_id}/artifacts/cnnviz/architecture/table.md")
    assert "conv1" in table.read_text()


@pytest.fixture
def switched_off(monkeypatch):
    """Weights & Biases keeps the mode that it was first used with, so it begins anew before and after."""
    wandb = pytest.importorskip("wandb")
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        wandb.teardown()
        yield
        wandb.finish()
    wandb.teardown()


@pytest.mark.usefixtures("switched_off")
def test_weights_and_biases_may_be_switched_off(tmp_path, recwarn):
    visual = KernelGrid()
    run = fit(tmp_path, [visual], logger=WandbLogger(save_dir=tmp_path))
    assert (run.global_step, visual.account.pictures) == (12, 0)
    assert not [warning for warning in recwarn if "could not draw" in str(warning.message)]


@pytest.mark.parametrize("kind", ["csv", "wandb", "mlflow"])
def test_a_logger_needs_no_tensorboard_beside_it(kind, tmp_path, recwarn):
    logger = make(kind, tmp_path)
    fit(tmp_path, [KernelGrid(on_error="raise")], logger=logger)
    if kind == "wandb":
        finish()
    read = {"csv": of_csv, "wandb": of_wandb, "mlflow": lambda folder: of_mlflow(folder, logger.run_id)}[kind]
    pictures, numbers = read(tmp_path)
    expected = {(f"kernels/{name}", step) for name in ("conv1", "conv2") for step in (6, 12)}
    assert pictures.keys() == expected
    assert {step for tag, step in numbers if tag == "cnnviz/cost/KernelGrid"} == {6, 12}
    assert not [warning for warning in recwarn if "lightning_cnnviz" in str(warning.message)]


def test_a_logger_that_takes_no_pictures_gets_numbers_and_one_notice(tmp_path, recwarn):
    numbers = NumbersLogger()
    board = TensorBoardLogger(tmp_path, name="run", version="")
    fit(tmp_path, [KernelGrid(), GradientFlow()], logger=[numbers, board])
    assert [step for step, row in numbers.rows if "gradient_flow/conv1/norm" in row] == [6, 12]
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]
    notices = [str(warning.message) for warning in recwarn if "takes no pictures" in str(warning.message)]
    assert len(notices) == 1
    assert "NumbersLogger takes no pictures" in notices[0]


def test_a_logger_that_fails_costs_the_others_nothing(tmp_path):
    class Broken(NumbersLogger):
        def log_metrics(self, metrics, step=None):
            if any(tag.startswith(OURS) for tag in metrics):
                raise ConnectionError("no network")

    board = TensorBoardLogger(tmp_path, name="run", version="")
    with pytest.warns(UserWarning, match="could not draw and training goes on: ConnectionError: no network"):
        run = fit(tmp_path, [KernelGrid(), GradientFlow()], logger=[Broken(), board])
    assert run.global_step == 12
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]
    assert ("gradient_flow/conv1/norm", 12) in of_tensorboard(tmp_path)[1]


def test_what_fails_at_the_very_end_is_reported_too(tmp_path, monkeypatch):
    logger = make("csv", tmp_path)
    monkeypatch.setattr(Sink, "numbers", lambda *_: math.sqrt(-1))
    with pytest.warns(UserWarning, match="GradientFlow could not draw"):
        fit(tmp_path, [KernelGrid(), GradientFlow()], logger=logger, max_epochs=1)


def test_the_csv_loggers_pictures_count_as_written(tmp_path, told):
    visuals = [KernelGrid(every_n_train_steps=1), CostLimit(max_overhead=None, max_event_mb=0.02)]
    fit(tmp_path, visuals, logger=make("csv", tmp_path), max_epochs=6)
    size = sum(len(data) for data in of_csv(tmp_path)[0].values())
    assert 15_000 < size <= 20_000
    assert "is full: no more pictures" in told()
    assert visuals[0].account.written == size


def test_of_a_picture_that_finds_no_room_nothing_is_left(tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    whole = LocalFileSystem.pipe_file

    def full(self, path, value, **options):
        whole(self, path, value[:10], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        run = fit(tmp_path, [KernelGrid()], logger=make("csv", tmp_path))
    assert run.global_step == 12
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(("kind", "times"), [("csv", 1), ("mlflow", 2)])
def test_a_resumed_run_logs_again_what_was_lost_with_a_crash(kind, times, tmp_path):
    run = fit(tmp_path, [KernelGrid(on_error="raise")], logger=make(kind, tmp_path), max_epochs=1)
    run.save_checkpoint(tmp_path / "saved.ckpt")
    identity = {"run_id": run.logger.run_id} if kind == "mlflow" else {}
    for _ in range(2):  # the first is lost after its second epoch
        logger = make(kind, tmp_path, **identity)
        again = trainer(tmp_path, [KernelGrid(on_error="raise")], logger=logger, max_epochs=2)
        again.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "saved.ckpt")
    written = [path for path in tmp_path.rglob("*.png") if "conv1" in str(path)]
    assert len([path for path in written if "12" in path.stem.split("+timestamp")[0]]) == times
    assert len(written) == 1 + times


@pytest.mark.parametrize("kind", ["csv", "mlflow"])
def test_a_tag_leads_nowhere_else(kind, tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    logger = make(kind, inside)
    fit(tmp_path, [KernelGrid(tag="../../../out: <b>", on_error="raise")], logger=logger, max_epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert list(inside.rglob("*conv1*")), "the picture is there under another name"


def test_mlflow_takes_more_numbers_at_once_than_its_batches_hold(tmp_path):
    logger = make("mlflow", tmp_path)
    sink = MLflowSink(logger)
    values = {f"gradient_flow/layer{number}/norm": float(number) for number in range(1500)}
    sink.numbers(values, 3)
    (folder,) = tmp_path.glob(f"mlruns/*/{logger.run_id}/metrics")
    found = {path.relative_to(folder).as_posix(): path.read_text().split()[1:] for path in folder.rglob("norm")}
    assert {tag: (float(value), int(step)) for tag, (value, step) in found.items()} == {
        tag: (value, 3) for tag, value in values.items()
    }


def test_subclasses_of_a_logger_have_its_sink(tmp_path):
    pytest.importorskip("wandb")
    kind = type("Mine", (WandbLogger,), {"experiment": None})
    assert type(sink_for(kind(offline=True, save_dir=tmp_path))) is WandbSink
    assert type(sink_for(NumbersLogger())) is Sink
    assert type(sink_for(TensorBoardLogger(tmp_path))) is TensorBoardSink


def test_a_run_is_trained_as_without_whatever_the_logger(tmp_path):
    weights = defaultdict(list)
    for kind, visuals in (("bare", []), ("csv", [KernelGrid(every_n_train_steps=1), GradientFlow()])):
        run = fit(tmp_path / kind, visuals, logger=make("csv", tmp_path / kind))
        weights[kind] = [parameter.detach().numpy() for parameter in run.lightning_module.parameters()]
    for one, other in zip(weights["bare"], weights["csv"], strict=True):
        np.testing.assert_array_equal(one, other)
