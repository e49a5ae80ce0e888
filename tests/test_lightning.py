"""What Lightning does not document, each part alone."""

import contextlib

import pytest
import pytorch_lightning
import torch
from helpers.internals import broken_by
from helpers.packages import both, fresh, package
from helpers.tiny import TinyNet, fit, image_steps, loaders, scalars
from pytorch_lightning.plugins import MixedPrecision
from torch.nn import functional as F

from lightning_cnnviz import KernelGrid, cnnviz_callbacks
from lightning_cnnviz.lightning import (
    evaluation_stage,
    logged_step,
    loss_scale,
    running_hook,
    step_after_batch,
    step_only_metrics,
)


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
