"""The page of a run as its training ends: whole, whatever the order of callbacks and however the training ends."""

import re
import warnings

import pytest
import pytorch_lightning as pl
from helpers.loggers import finish, make, records_of_wandb
from helpers.tiny import TinyNet, fit, loaders, trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from lightning_cnnviz import KernelGrid, RunReport, cnnviz_callbacks
from lightning_cnnviz.report.write import write_report


def page_of(folder):
    return (folder / "run" / "report.html").read_bytes()


def written_afterwards(folder, **options):
    """The page as the command writes it once all is over."""
    return write_report(folder / "run", folder / "afterwards.html", **options).read_bytes()


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_the_page_has_all_that_was_recorded_wherever_the_callback_stands(place, tmp_path, told):
    callbacks = cnnviz_callbacks(every_n_train_steps=2, num_samples=20)
    callbacks.insert(place if place == 0 else len(callbacks), RunReport())
    fit(tmp_path, callbacks)
    assert page_of(tmp_path) == written_afterwards(tmp_path)
    size = len(page_of(tmp_path)) / 1e6
    assert f"the run as one file, {size:.1f} MB: {tmp_path}/run/report.html" in told()


def test_size_and_layers_are_those_of_the_callback(tmp_path):
    fit(tmp_path, [KernelGrid(every_n_train_steps=1), RunReport(layers="conv1", max_mb=0.5)])
    assert page_of(tmp_path) == written_afterwards(tmp_path, layers=["conv1"], max_mb=0.5)
    assert b"what is of the layers conv1" in page_of(tmp_path)


def test_a_training_that_goes_on_writes_the_page_anew(tmp_path):
    options = {"enable_checkpointing": True, "default_root_dir": tmp_path}
    run = fit(tmp_path, [KernelGrid(), RunReport()], max_epochs=1, **options)
    first = page_of(tmp_path)
    run.save_checkpoint(tmp_path / "last.ckpt")
    resumed = trainer(tmp_path, [KernelGrid(), RunReport()], max_epochs=3)
    resumed.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert page_of(tmp_path) == written_afterwards(tmp_path) != first


def test_loggers_that_have_artifacts_keep_the_page(tmp_path, monkeypatch):
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    wandb, mlflow = make("wandb", tmp_path), make("mlflow", tmp_path)
    fit(tmp_path, [KernelGrid(), RunReport()], logger=[wandb, mlflow, TensorBoardLogger(tmp_path, "run", "")])
    finish()
    (kept,) = tmp_path.glob(f"mlruns/*/{mlflow.run_id}/artifacts/cnnviz/report.html")
    assert kept.read_bytes() == page_of(tmp_path)
    (artifact,) = records_of_wandb(tmp_path, "artifact")
    assert (artifact.name, artifact.type) == (f"report-{wandb.experiment.id}", "report")
    (entry,) = artifact.manifest.contents
    assert (entry.path, entry.size) == ("report.html", len(page_of(tmp_path)))
    staged = [path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert page_of(tmp_path) in staged  # from where `wandb sync` takes it


@pytest.mark.parametrize("logger", [True, False], ids=["another logger", "no logger"])
def test_without_an_event_file_one_line_says_so(logger, tmp_path):
    with pytest.warns(UserWarning, match=r"no report\.html will be written.*TensorBoardLogger") as caught:
        fit(tmp_path, [RunReport()], logger=CSVLogger(tmp_path) if logger else False)
    assert len([one for one in caught if "RunReport" in str(one.message)]) == 1
    assert not list(tmp_path.rglob("report.html"))


def test_a_run_without_anything_to_show_is_told_in_one_warning(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert fit(tmp_path, [RunReport()]).state.finished
    (words,) = [str(one.message) for one in caught if "RunReport" in str(one.message)]
    assert re.search(r"RunReport failed to write report\.html.*but none with data of the CNN Viz tab", words)


def test_a_run_that_fails_before_its_first_step_says_only_why(tmp_path, recwarn):
    with pytest.raises(ValueError, match="conv9"):
        fit(tmp_path, [RunReport(), KernelGrid(layers="conv9")])
    assert not [one for one in recwarn if "RunReport" in str(one.message)]


def test_a_run_that_only_validates_or_tries_itself_writes_none(tmp_path):
    run = trainer(tmp_path, [KernelGrid(), RunReport()])
    run.validate(TinyNet(), loaders()[1], verbose=False)
    fit(tmp_path, [KernelGrid(), RunReport()], fast_dev_run=True)
    assert not list(tmp_path.rglob("report.html"))


def test_arguments_are_checked_when_it_is_made():
    with pytest.raises(ValueError, match="max_mb to be above 0, got 0"):
        RunReport(max_mb=0)
    with pytest.raises(TypeError, match="layers to be a name or a list of names, got 3"):
        RunReport(layers=3)
    with pytest.raises(TypeError, match="positional"):
        RunReport(20)


def test_a_command_line_takes_it(monkeypatch):
    from pytorch_lightning.cli import LightningCLI

    monkeypatch.setattr("sys.argv", ["train"])
    callback = {"class_path": "lightning_cnnviz.RunReport", "init_args": {"max_mb": 5, "layers": ["conv1"]}}
    cli = LightningCLI(TinyNet, run=False, args={"trainer": {"callbacks": [callback]}}, save_config_callback=None)
    (made,) = [one for one in cli.trainer.callbacks if isinstance(one, RunReport)]
    assert (made.max_mb, made.layers) == (5.0, ["conv1"])
    assert isinstance(made, pl.Callback)
