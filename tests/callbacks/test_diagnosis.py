"""What `Diagnosis` tells of real runs, and where."""

import json
import math

import pytest
import pytorch_lightning as pl
import torch
from helpers.diagnosed import Broken, Doubled, hooks_of, rules, told
from helpers.tab_records import records
from helpers.tiny import NumbersLogger, TinyNet, events, fit, loaders, trainer
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import Diagnosis, cnnviz_callbacks
from lightning_cnnviz.callbacks import diagnosis as this
from lightning_cnnviz.functional.diagnosis import diagnose
from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Finding, Observation
from lightning_cnnviz.statistics.run_evidence import RunEvidence

# ---- where it is told


def test_it_is_told_once_and_logged_as_text_file_and_record(tmp_path, recwarn):
    callback = Diagnosis()
    fit(tmp_path, [callback], model=Doubled, max_epochs=3)
    (found,) = callback.findings()
    assert told(recwarn.list) == [f"Diagnosis at step 1: {found.sentence()}"]
    reader = events(tmp_path)
    text, last = reader.Tensors("diagnosis/findings/text_summary")
    assert (text.step, last.step) == (1, 18)
    words = text.tensor_proto.string_val[0].decode()
    assert found.title in words
    assert found.evidence in words
    assert found.advice in words
    found_at = {step: info["findings"] for step, info, _ in records(tmp_path, "findings")}
    assert [(step, one["rule"], one["last_step"]) for step, (one,) in found_at.items()] == [
        (1, "softmax_before_loss", 1),
        (18, "softmax_before_loss", 18),
    ]
    (written,) = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert Finding.from_dict(written) == found


def test_a_run_without_logger_is_told_all_the_same(tmp_path, recwarn, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = Diagnosis()
    fit(tmp_path, [callback], model=Doubled, logger=False)
    assert rules(callback) == ["softmax_before_loss"]
    assert len(told(recwarn.list)) == 1
    assert not list(tmp_path.rglob("*findings*"))


def test_csv_and_other_loggers_get_the_file_or_nothing(tmp_path):
    fit(tmp_path, [Diagnosis()], model=Doubled, logger=CSVLogger(tmp_path, "csv", ""))
    (written,) = json.loads((tmp_path / "csv" / "findings.json").read_text())
    assert written["rule"] == "softmax_before_loss"
    callback = Diagnosis()
    fit(tmp_path, [callback], model=Doubled, logger=NumbersLogger())
    assert rules(callback) == ["softmax_before_loss"]


def test_a_healthy_run_is_silent(tmp_path, recwarn):
    callback = Diagnosis()
    fit(tmp_path, [callback], max_epochs=30)
    assert callback.findings() == []
    assert told(recwarn.list) == []
    assert not (tmp_path / "run" / "findings.json").exists()
    assert not [tag for tag in events(tmp_path).Tags()["tensors"] if "finding" in tag]


def test_rules_can_be_ignored(tmp_path, recwarn):
    callback = Diagnosis(ignore="softmax_before_loss")
    fit(tmp_path, [callback], model=Doubled, max_epochs=1)
    assert "softmax_before_loss" not in rules(callback)
    with pytest.raises(
        ValueError, match=r"expected ignore to be names of rules, got \['dead_unit'\]; rules are: .*dead_units"
    ):
        Diagnosis(ignore=["dead_unit"])


def test_a_resumed_run_does_not_tell_again_and_a_new_one_begins_anew(tmp_path, recwarn):
    callback = Diagnosis()
    first = fit(tmp_path / "a", [callback], model=Doubled, max_epochs=1)
    first.save_checkpoint(tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=True)
    recwarn.clear()
    resumed = Diagnosis()
    trainer(tmp_path / "b", [resumed], max_epochs=2).fit(Doubled(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert told(recwarn.list) == []
    (found,) = resumed.findings()
    assert (found.first_step, found.told_step, found.last_step) == (1, 1, 12)
    fit(tmp_path / "c", [callback], max_epochs=1)
    assert callback.findings() == []


# ---- faults of real runs


def test_the_layer_and_the_step_of_the_first_nan_are_named(tmp_path, recwarn):
    callback = Diagnosis()
    fit(tmp_path, [callback], model=Broken)
    (found,) = callback.findings()
    assert (found.rule, found.layers, found.first_step, found.sure) == ("non_finite", ("root",), 8, "certain")
    assert found.told_step == 9
    assert len(told(recwarn.list)) == 1


@pytest.mark.parametrize("where", ["batch", "weights", "loss"])
def test_where_a_nan_comes_from_is_told_apart(where, tmp_path):
    class Spoiled(TinyNet):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            if self.trainer.global_step == 4:
                if where == "weights":
                    with torch.no_grad():
                        self.conv2.weight[0, 0] = math.nan
                    return super().training_step(batch, batch_idx)
                if where == "loss":
                    return loss * math.inf
            return loss

        def on_train_batch_start(self, batch, batch_idx):
            if where == "batch" and self.trainer.global_step == 4:
                batch[0][2, 0, 3, 3] = math.nan

    callback = Diagnosis()
    fit(tmp_path, [callback], model=Spoiled, max_epochs=1)
    found = next(one for one in callback.findings() if one.rule == "non_finite")
    assert found.first_step == 5
    words = {
        "batch": "The batch itself has values",
        "weights": "Weights up to conv2 are no longer finite",
        "loss": "but not the loss",
    }
    assert words[where] in found.evidence


class Frozen(TinyNet):
    def __init__(self):
        super().__init__()
        self.conv2.requires_grad_(False)


class Detached(TinyNet):
    def forward(self, x):
        x = self.pool(F.relu(self.conv2(self.relu(self.norm(self.conv1(x))).detach()))).flatten(1)
        return self.fc2(self.drop(self.act(self.fc1(x))))


class Forgotten(TinyNet):
    def configure_optimizers(self):
        return torch.optim.Adam([*self.conv1.parameters(), *self.conv2.parameters(), *self.fc2.parameters()], lr=0.01)


class Uncleared(TinyNet):
    def optimizer_zero_grad(self, *_):
        pass


class InEvaluation(TinyNet):
    def training_step(self, batch, batch_idx):
        self.eval()
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    ("net", "rule", "layers"),
    [
        (Frozen, "layer_not_trained", ("conv2",)),
        (Forgotten, "layer_not_trained", ("fc1",)),
        (Uncleared, "gradients_not_cleared", ()),
        (InEvaluation, "layers_in_evaluation_mode", ("norm", "drop")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_faults_of_a_module_are_named_with_the_layers(net, rule, layers, tmp_path):
    callback = Diagnosis()
    fit(tmp_path, [callback], model=net, max_epochs=3)
    assert [(one.rule, one.layers, one.sure) for one in callback.findings()] == [(rule, layers, "certain")]


class Curve(pl.LightningModule):
    """A regression of few noisy values by a network that can learn them by heart."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 128), nn.Tanh(), nn.Linear(128, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


@pytest.mark.parametrize(("samples", "found"), [(24, ["overfitting"]), (2000, [])])
def test_a_regression_that_learns_its_samples_by_heart_is_told(samples, found, tmp_path):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(samples + 200, 8, generator=draw)
    y = x[:, :1] + 0.5 * torch.randn(len(x), 1, generator=draw)
    train = DataLoader(TensorDataset(x[200:], y[200:]), 8, shuffle=True)
    val = DataLoader(TensorDataset(x[:200], y[:200]), 200)
    callback = Diagnosis()
    steps = {"max_steps": 240, "val_check_interval": len(train) if samples == 24 else 30}
    fit(tmp_path, [callback], model=Curve, data=(train, val), max_epochs=100, **steps)
    assert rules(callback) == found


@pytest.mark.parametrize(("net", "found"), [(Uncleared, ["gradients_not_cleared"]), (TinyNet, [])])
def test_gradients_that_are_not_cleared_are_seen_where_batches_are_accumulated(net, found, tmp_path):
    callback = Diagnosis()
    data = loaders(size=144)
    fit(tmp_path, [callback], model=net, data=data, max_epochs=3, accumulate_grad_batches=3)
    assert rules(callback) == found


def test_a_layer_that_is_cut_off_the_loss_is_named(tmp_path):
    class Larger(Detached):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
            self.norm, self.conv2 = nn.BatchNorm2d(12), nn.Conv2d(12, 8, 3)

    callback = Diagnosis()
    fit(tmp_path, [callback], model=Larger, max_epochs=3)
    assert [(one.rule, one.layers) for one in callback.findings()] == [("layer_not_trained", ("conv1",))]


# ---- it never ends a run


def test_a_rule_that_fails_is_told_once_and_the_others_go_on(tmp_path, monkeypatch, recwarn):
    def early(_):
        raise ZeroDivisionError("no such number")

    monkeypatch.setattr(diagnose, "CAUSES", (early, *diagnose.CAUSES))
    callback = Diagnosis()
    run = fit(tmp_path, [callback], model=Doubled)
    assert run.global_step == 12
    assert rules(callback) == ["softmax_before_loss"]
    assert [words for words in told(recwarn.list) if "failed" in words] == [
        "Diagnosis failed to look for faults; training continues: ZeroDivisionError: no such number "
        "(lost: the rule early; shown once)"
    ]


def test_a_rule_that_fails_ends_the_run_if_that_is_asked_for(tmp_path, monkeypatch):
    def early(_):
        raise ZeroDivisionError("no such number")

    monkeypatch.setattr(diagnose, "CAUSES", (early,))
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, [Diagnosis(on_error="raise")])


@pytest.mark.parametrize("where", ["add_scores", "add_look", "add_loss", "add_graph", "add_validation"])
def test_evidence_that_fails_leaves_no_hooks_and_the_rest_goes_on(where, tmp_path, monkeypatch, recwarn):
    def fails(*_, **__):
        raise ValueError("none today")

    monkeypatch.setattr(RunEvidence, where, fails)
    callback, model = Diagnosis(), Frozen()
    run = fit(tmp_path, [callback], model=model, max_epochs=3)
    assert run.global_step == 18
    assert hooks_of(model) == []
    assert len(told([one for one in recwarn.list if "failed" in str(one.message)])) == 1
    if where in ("add_scores", "add_graph", "add_validation"):
        assert rules(callback) == ["layer_not_trained"]


def test_whatever_is_observed_is_told_in_order_of_causes(tmp_path, monkeypatch):
    def seen(evidence: Evidence, *_):
        if evidence.step >= 2:
            yield Observation("overfitting", "It does.", 2)
        if evidence.step >= 4:
            yield Observation("wrong_loss", "It is.", 1, ("fc2",), {"share": 0.5}, "certain")

    monkeypatch.setattr(this, "observe", seen)
    callback = Diagnosis()
    fit(tmp_path, [callback])
    assert [(one.rule, one.told_step) for one in callback.findings()] == [("wrong_loss", 4), ("overfitting", 2)]
    found = records(tmp_path, "findings")
    assert [(step, [part["rule"] for part in info["findings"]]) for step, info, _ in found] == [
        (2, ["overfitting"]),
        (4, ["wrong_loss", "overfitting"]),
        (12, ["wrong_loss", "overfitting"]),  # once more as training ends
    ]


# ---- in sets


def test_it_is_in_the_standard_set_with_what_is_said_for_all(tmp_path):
    made = [one for one in cnnviz_callbacks(inputs=0, targets=1, task="multiclass") if isinstance(one, Diagnosis)]
    assert [(one.inputs, one.targets, one.task) for one in made] == [(0, 1, "multiclass")]
    assert not [one for one in cnnviz_callbacks("minimal") if isinstance(one, Diagnosis)]


def test_one_that_came_by_itself_yields_to_what_was_given(tmp_path):
    mine, automatic = Diagnosis(), Diagnosis()
    automatic.auto = True
    assert mine.state_key != automatic.state_key
    fit(tmp_path / "a", [automatic, mine], model=Doubled, max_epochs=1)
    assert (rules(mine), rules(automatic)) == (["softmax_before_loss"], [])
    fit(tmp_path / "b", [automatic], model=Doubled, max_epochs=1)
    assert rules(automatic) == ["softmax_before_loss"]
