"""Both Lightning packages: fits, command lines and the callbacks that come by themselves."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning
import torch
import yaml
from helpers.internals import broken_by
from helpers.tiny import TinyNet, fit, image_steps, loaders, scalars, trainer
from pytorch_lightning.plugins import MixedPrecision
from torch.nn import functional as F

import lightning_cnnviz
from lightning_cnnviz import KernelGrid, LossAccuracy, cnnviz_callbacks
from lightning_cnnviz.auto import SWITCH
from lightning_cnnviz.lightning import (
    evaluation_stage,
    logged_step,
    loss_scale,
    running_hook,
    step_after_batch,
    step_only_metrics,
)

KINDS = [thing for name in lightning_cnnviz.__all__ if isinstance(thing := getattr(lightning_cnnviz, name), type)]
CALLBACKS = [kind for kind in KINDS if issubclass(kind, pytorch_lightning.Callback)]


def package(name):
    return pytest.importorskip("lightning.pytorch") if name == "lightning.pytorch" else pytorch_lightning


both = pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])

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


def fresh(code, folder, *arguments):
    """What a fresh interpreter prints, with our entry points as if they were installed."""
    root = Path(__file__).resolve().parents[1]
    installed = folder / "installed" / "lightning_cnnviz-0.1.0.dist-info"
    if not installed.exists():
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lightning-cnnviz\nVersion: 0.1.0\n")
        groups = re.findall(
            r'^\[project\.entry-points\."(.+?)"\]\n(.+?)\n\n', (root / "pyproject.toml").read_text(), re.M | re.S
        )
        written = "\n".join(f"[{group}]\n{lines}" for group, lines in groups).replace('"', "")
        (installed / "entry_points.txt").write_text(written)
    paths = [str(installed.parent), str(root), str(root / "tests"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


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


# ---- what Lightning does not document, each part alone


@both
def test_both_packages_log_through_the_logger_that_the_last_one_sets(name, tmp_path):
    package(name)
    code = f"""
import lightning_utilities.core.rank_zero as talks
before = talks.log
import {name}
print("got", talks.log is not before, talks.log.name)
"""
    (line,) = [line for line in fresh(code, tmp_path).splitlines() if line.startswith("got")]
    message = broken_by("lightning-utilities", "lightning_utilities.core.rank_zero.log")
    assert line.split()[1] == "True", message
    assert line.split()[2].startswith(name.split(".")[0]), message


@pytest.mark.parametrize("evaluating", [True, False])
def test_within_the_stage_hooks_of_the_user_see_what_the_batch_belongs_to(evaluating, tmp_path):
    message = broken_by("pytorch-lightning", "setters of Trainer.validating and Trainer.training")
    seen = []

    class Stage(pytorch_lightning.Callback):
        def on_train_batch_start(self, trainer, *_):
            with evaluation_stage(trainer, evaluating):
                seen.append((trainer.validating, trainer.training, trainer.state.stage.value))
            seen.append((trainer.validating, trainer.training, trainer.state.stage.value))

    run = fit(tmp_path, [Stage()], logger=False, max_epochs=1)
    inside = (True, False, "validate") if evaluating else (False, True, "train")
    assert seen[0] == inside, message
    assert set(seen[1::2]) == {(False, True, "train")}, message
    assert run.global_step == 6, message


def test_the_trainer_is_training_again_after_an_error_within_the_stage(tmp_path):
    seen = []

    class Failing(pytorch_lightning.Callback):
        def on_train_batch_start(self, trainer, *_):
            with contextlib.suppress(KeyError), evaluation_stage(trainer, True):
                raise KeyError("no batch")
            seen.append(trainer.training)

    fit(tmp_path, [Failing()], logger=False, max_epochs=1)
    assert all(seen), broken_by("pytorch-lightning", "setter of Trainer.training")
    assert len(seen) == 6


def test_what_training_logs_per_step_only_is_known(tmp_path):
    class Logs(TinyNet):
        def training_step(self, batch, batch_idx):
            if batch_idx % 3 == 2:
                self.log("value_of_a_step", 1.0)
            self.log("mean", 1.0, on_step=False, on_epoch=True)
            self.log("both", 1.0, on_step=True, on_epoch=True)
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            self.log("of_the_validation", 1.0)

    seen = []

    class Watch(pytorch_lightning.Callback):
        def on_train_epoch_start(self, trainer, *_):
            seen.append(step_only_metrics(trainer))

        def on_train_end(self, trainer, *_):
            seen.append(step_only_metrics(trainer))

    fit(tmp_path, [Watch()], model=Logs, max_epochs=2)
    names = {"value_of_a_step", "mean", "both", "of_the_validation"}
    assert [found & names for found in seen] == [set(), {"value_of_a_step"}, {"value_of_a_step"}], (
        f"pytorch_lightning {pytorch_lightning.__version__} keeps otherwise how a metric was logged"
    )


# ---- the step under which a run logs


class ByHand(TinyNet):
    def __init__(self, raw, count):
        super().__init__()
        self.automatic_optimization = False
        self.raw, self.count = raw, count

    def configure_optimizers(self):
        weights = list(self.parameters())
        return [torch.optim.SGD(weights[number :: self.count], 0.01) for number in range(self.count)]

    def training_step(self, batch, batch_idx):
        optimizers = self.optimizers(use_pl_optimizer=not self.raw)
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.manual_backward(loss)
        for optimizer in optimizers if self.count > 1 else [optimizers]:
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize(("raw", "count"), [(False, 1), (False, 2), (True, 1), (True, 2)])
def test_pictures_stand_at_the_steps_of_the_users_own_values(raw, count, tmp_path):
    callbacks = cnnviz_callbacks(num_samples=20, on_error="raise")
    fit(tmp_path, callbacks, model=ByHand(raw, count), max_epochs=3)
    assert [step + 1 for step, _ in scalars(tmp_path, "val_loss")] == [6, 12, 18]
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12, 18]
    assert [step for step, _ in scalars(tmp_path, "curves/loss/val")] == [6, 12, 18]
    norms = scalars(tmp_path, "gradient_flow/conv1/norm")
    assert [step for step, _ in norms] == [6, 12, 18]
    assert all(value > 0 for _, value in norms)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_with_automatic_optimization_they_are_optimizer_steps(accumulate, tmp_path):
    run = fit(tmp_path, [KernelGrid()], accumulate_grad_batches=accumulate)
    assert image_steps(tmp_path)["kernels/conv1"][-1] == run.global_step == logged_step(run)


class Foreseeing(pytorch_lightning.Callback):
    """Keeps the step that was foretold as each batch began, and the one under which the run logs as it ends."""

    def __init__(self):
        self.foretold, self.found = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.foretold.append(step_after_batch(trainer, batch_idx))

    def on_train_batch_end(self, trainer, *_):
        self.found.append(logged_step(trainer))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (TinyNet, {}),
        (TinyNet, {"accumulate_grad_batches": 4}),
        (TinyNet, {"accumulate_grad_batches": 4, "limit_train_batches": 5}),
        (lambda: ByHand(False, 2), {}),
    ],
    ids=["each batch", "accumulated", "accumulated, limited", "two optimizers by hand"],
)
def test_the_step_after_a_batch_is_known_as_it_begins(model, options, tmp_path):
    seen = Foreseeing()
    fit(tmp_path, [seen], model=model(), **options)
    assert seen.foretold == seen.found
    assert seen.found[-1] >= 4


class Scales(pytorch_lightning.Callback):
    def __init__(self):
        self.scales = []

    def on_before_backward(self, trainer, pl_module, loss):
        scale = loss_scale(trainer)
        self.scales.append(None if scale is None else (float(scale), trainer.precision_plugin.scaler.get_scale()))


def test_the_scale_of_a_loss_is_that_of_the_scaler(tmp_path):
    bare, scaled = Scales(), Scales()
    fit(tmp_path / "bare", [bare], max_epochs=1)
    assert bare.scales == [None] * 6
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=2)
    fit(tmp_path / "scaled", [scaled], plugins=MixedPrecision("16-mixed", "cpu", scaler=scaler), max_epochs=1)
    assert all(found == right for found, right in scaled.scales)
    assert len({found for found, _ in scaled.scales}) > 1


@both
def test_the_running_hook_is_known_and_none_where_the_training_begins_to_iterate(name, tmp_path):
    pl, found = package(name), {"began in": []}

    class Batches(torch.utils.data.Sampler):
        def __len__(self):
            return 6

        def __iter__(self):
            found["began in"].append(running_hook(run))
            return iter([list(range(8))] * 6)

    class Hooks(pl.Callback):
        def on_train_start(self, trainer, module):
            found["callback"] = running_hook(trainer)
            next(iter(trainer.train_dataloader))

    class Net(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = TinyNet()

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    run = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        callbacks=[Hooks()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    run.fit(Net(), torch.utils.data.DataLoader(loaders()[0].dataset, batch_sampler=Batches()))
    assert found == {"began in": [None, "on_train_start", None], "callback": "on_train_start"}
