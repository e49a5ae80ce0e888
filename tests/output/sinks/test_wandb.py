"""What Weights & Biases gets, read from the file of an offline run."""

import pytest
from helpers.loggers import fit_beside_tensorboard, of_tensorboard, of_wandb, rows_of_wandb, same_numbers
from helpers.tiny import events, fit
from pytorch_lightning.loggers import WandbLogger

from lightning_cnnviz import KernelGrid


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a run with TensorBoard's logger and this one."""
    folder = tmp_path_factory.mktemp("several")
    fit_beside_tensorboard("wandb", folder)
    return folder


def test_weights_and_biases_has_pictures_and_numbers(folder):
    pictures, numbers = of_tensorboard(folder)
    found, values = of_wandb(folder)
    assert found == pictures
    same_numbers(values, numbers)
    (table,) = events(folder).Tensors("architecture/table/text_summary")
    (html,) = folder.glob("wandb/offline-run-*/files/media/html/architecture/table*.html")
    assert table.tensor_proto.string_val[0].decode() in html.read_text()


def test_steps_of_weights_and_biases_never_go_back_though_pictures_come_late(folder):
    steps = [step for step, _ in rows_of_wandb(folder)]
    assert steps == sorted(set(steps))
    assert len(steps) >= 20


def test_of_weights_and_biases_no_temporary_picture_is_left(folder):
    (run,) = folder.glob("wandb/offline-run-*")
    assert len(list(run.rglob("*.png"))) == len(of_tensorboard(folder)[0])
    assert not list(run.glob("*.png"))


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
    assert not [warning for warning in recwarn if "failed to draw" in str(warning.message)]
