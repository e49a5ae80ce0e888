"""Both Lightning packages: fits, command lines and the callbacks that come by themselves."""

import pytest
import pytorch_lightning
import yaml
from helpers.packages import both, fresh, package
from helpers.tiny import fit, image_steps, loaders, trainer

import lightning_cnnviz
from lightning_cnnviz import KernelGrid, LossAccuracy, cnnviz_callbacks
from lightning_cnnviz.auto import SWITCH

KINDS = [thing for name in lightning_cnnviz.__all__ if isinstance(thing := getattr(lightning_cnnviz, name), type)]
CALLBACKS = [kind for kind in KINDS if issubclass(kind, pytorch_lightning.Callback)]


MODULE = """
import torch, {package} as pl
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from helpers.tiny import TinyData

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3),
                                 nn.ReLU(), nn.Flatten(), nn.Linear(32, 12), nn.Tanh(), nn.Linear(12, 4))
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def train_dataloader(self):
        return DataLoader(TinyData(48), 8, shuffle=True)
    def val_dataloader(self):
        return DataLoader(TinyData(40, seed=1), 8)
"""

QUIET = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "log_every_n_steps": 1,
    "max_epochs": 2,
}


def make(name):
    """The package and a module of it."""
    room = {"__name__": "made"}
    exec(MODULE.format(package=name), room)
    return package(name), room["Net"]()


@both
def test_the_full_preset_in_a_fit(name, tmp_path):
    package(name)
    pl, net = make(name)
    logger = pl.loggers.TensorBoardLogger(tmp_path, name="run", version="")
    visuals = cnnviz_callbacks("full", on_error="raise", num_samples=40, max_overhead=0.9)
    run = pl.Trainer(logger=logger, callbacks=visuals, **QUIET)
    run.fit(net)
    steps = image_steps(tmp_path)
    assert steps.pop("architecture/diagram") == [0]
    films = {tag for tag in steps if tag.endswith("/film")}
    assert len(films) == 2
    assert all(steps.pop(film) == [12] for film in films)
    assert {tag.split("/")[0] for tag in steps} == {
        "kernels", "feature_maps", "filter_response", "projection", "gradient_flow", "curves", "class_report",
        "activations", "activating_patches", "saliency", "sample_history",
    }  # fmt: skip
    assert all(found == [6, 12] for found in steps.values()), steps


@both
@pytest.mark.parametrize("kind", CALLBACKS)
def test_every_callback_is_one_to_both_packages(kind, name):
    assert issubclass(kind, package(name).Callback)


@both
def test_its_command_line_takes_our_classes_in_yaml(name, tmp_path):
    package(name)
    pytest.importorskip("jsonargparse")
    (tmp_path / "net.py").write_text(MODULE.format(package=name))
    probe = {"class_path": "lightning_cnnviz.Probe", "init_args": {"num_samples": 20}}
    board = {"save_dir": str(tmp_path), "name": "run", "version": ""}
    config = {
        **QUIET,
        "logger": {"class_path": f"{name}.loggers.TensorBoardLogger", "init_args": board},
        "callbacks": [
            {"class_path": "lightning_cnnviz.KernelGrid", "init_args": {"every_n_epochs": 1, "on_error": "raise"}},
            {"class_path": "lightning_cnnviz.EmbeddingProjection", "init_args": {"method": "pca", "probe": probe}},
            {"class_path": "lightning_cnnviz.CostLimit"},
        ],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"trainer": config}))
    code = f"import net, {name}.cli as cli; cli.LightningCLI(net.Net, save_config_callback=None)"
    fresh(code, tmp_path, "fit", "--config", "config.yaml")
    assert {"kernels/net.0", "kernels/net.3", "projection/net.7/pca"} <= image_steps(tmp_path).keys()


@both
def test_a_trainer_finds_our_factory_which_gives_nothing_unless_asked(name, tmp_path):
    package(name)
    code = f"""
import os, sys
from {name} import Trainer
for switch in ("", "0", "1"):
    os.environ["CNNVIZ_AUTO"] = switch
    run = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    found = [type(one).__name__ for one in run.callbacks if type(one).__module__.startswith("lightning_cnnviz")]
    print("got", "lightning_cnnviz.auto" in sys.modules, "lightning_cnnviz.presets" in sys.modules, *found)
"""
    got = [line.split()[1:] for line in fresh(code, tmp_path).splitlines() if line.startswith("got")]
    asked = ["True", "True", *(type(one).__name__ for one in cnnviz_callbacks())]
    assert got == [["True", "False"], ["True", "False"], asked]


def test_callbacks_that_came_by_themselves_draw(tmp_path, monkeypatch):
    monkeypatch.setenv(SWITCH, "1")
    fit(tmp_path, [], max_epochs=1)  # the Trainer finds them
    assert {"kernels", "curves", "gradient_flow", "projection"} <= {tag.split("/")[0] for tag in image_steps(tmp_path)}


def test_they_leave_a_trainer_to_callbacks_that_were_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv(SWITCH, "1")
    asked = [LossAccuracy(), KernelGrid()]
    run = fit(tmp_path, asked, max_epochs=1)  # of both kinds there are two, in a checkpoint too
    assert {tag.split("/")[0] for tag in image_steps(tmp_path)} == {"curves", "kernels"}
    run.save_checkpoint(tmp_path / "saved.ckpt")
    again = trainer(tmp_path / "again", asked, max_epochs=2)
    again.fit(run.lightning_module, *loaders(), ckpt_path=tmp_path / "saved.ckpt")
    assert image_steps(tmp_path / "again")["curves/loss"] == [12]


def test_pytorch_lightning_is_enough(tmp_path):
    code = """
import sys
sys.modules["lightning"] = None  # as if it were not installed
import pytorch_lightning as pl
from lightning_cnnviz.lightning import Callback
from lightning_cnnviz import KernelGrid
print("got", Callback is pl.Callback and issubclass(KernelGrid, pl.Callback))
"""
    assert "got True" in fresh(code, tmp_path)


@both
def test_it_does_not_matter_what_is_imported_first(name, tmp_path):
    package(name)
    code = f"""
import pytorch_lightning, lightning_utilities.core.rank_zero as talks
before = talks.log.name
from lightning_cnnviz import KernelGrid
print("got", before == talks.log.name)  # a Trainer's messages go where they went
import {name} as pl
print("got", issubclass(KernelGrid, pl.Callback))
"""
    assert [line for line in fresh(code, tmp_path).splitlines() if line.startswith("got")] == ["got True"] * 2
