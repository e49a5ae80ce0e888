"""What holds for every logger: what is written, what is said and what a failure costs."""

import math
import re

import pytest
from helpers.loggers import OURS, finish, make, of_csv, of_mlflow, of_tensorboard, of_wandb
from helpers.tiny import NumbersLogger, TinyNet, fit, image_steps, loaders, trainer
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from lightning_cnnviz import GradientFlow, KernelGrid
from lightning_cnnviz.output.sinks import Sink, sink_for
from lightning_cnnviz.output.sinks.tensorboard import TensorBoardSink
from lightning_cnnviz.output.sinks.wandb import WandbSink


@pytest.mark.parametrize("kind", ["csv", "wandb", "mlflow"])
def test_a_logger_needs_no_tensorboard_beside_it(kind, tmp_path, recwarn):
    logger = make(kind, tmp_path)
    fit(tmp_path, [KernelGrid(on_error="raise")], logger=logger)
    if kind == "wandb":
        finish()
    read = {"csv": of_csv, "wandb": of_wandb, "mlflow": lambda folder: of_mlflow(folder, logger.run_id)}[kind]
    pictures, numbers = read(tmp_path)
    assert not [str(warning.message) for warning in recwarn if "lightning_cnnviz" in str(warning.message)]
    expected = {(f"kernels/{name}", step) for name in ("conv1", "conv2") for step in (6, 12)}
    assert pictures.keys() == expected
    assert {step for tag, step in numbers if tag == "cnnviz/cost/KernelGrid"} == {6, 12}


def test_a_logger_that_takes_no_pictures_gets_numbers_and_one_notice(tmp_path, recwarn):
    numbers = NumbersLogger()
    board = TensorBoardLogger(tmp_path, name="run", version="")
    fit(tmp_path, [KernelGrid(), GradientFlow()], logger=[numbers, board])
    assert [step for step, row in numbers.rows if "gradient_flow/conv1/norm" in row] == [6, 12]
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]
    notices = [str(warning.message) for warning in recwarn if "cannot log images" in str(warning.message)]
    assert len(notices) == 1
    assert "NumbersLogger cannot log images" in notices[0]


def test_a_logger_that_fails_costs_the_others_nothing(tmp_path):
    class Broken(NumbersLogger):
        def log_metrics(self, metrics, step=None):
            if any(tag.startswith(OURS) for tag in metrics):
                raise ConnectionError("no network")

    board = TensorBoardLogger(tmp_path, name="run", version="")
    with pytest.warns(UserWarning, match="failed to draw; training continues: ConnectionError: no network"):
        run = fit(tmp_path, [KernelGrid(), GradientFlow()], logger=[Broken(), board])
    assert run.global_step == 12
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]
    assert ("gradient_flow/conv1/norm", 12) in of_tensorboard(tmp_path)[1]


def test_what_fails_at_the_very_end_is_reported_too(tmp_path, monkeypatch):
    logger = make("csv", tmp_path)
    monkeypatch.setattr(Sink, "numbers", lambda *_: math.sqrt(-1))
    with pytest.warns(UserWarning, match="GradientFlow failed to draw"):
        fit(tmp_path, [KernelGrid(), GradientFlow()], logger=logger, max_epochs=1)


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
    named = [re.split(".timestamp", path.stem)[0] for path in written]  # by MLflow with + or %, and then with numbers
    assert len([name for name in named if "12" in name]) == times
    assert len(written) == 1 + times


def test_subclasses_of_a_logger_have_its_sink(tmp_path):
    pytest.importorskip("wandb")
    kind = type("Mine", (WandbLogger,), {"experiment": None})
    assert type(sink_for(kind(offline=True, save_dir=tmp_path))) is WandbSink
    assert type(sink_for(NumbersLogger())) is Sink
    assert type(sink_for(TensorBoardLogger(tmp_path))) is TensorBoardSink
