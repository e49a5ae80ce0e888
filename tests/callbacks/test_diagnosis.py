"""What `Diagnosis` tells of real runs, where, and that it leaves them as they are."""

import copy
import json
import math
import pickle
import warnings

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tab_records import records
from helpers.tiny import NumbersLogger, TinyData, TinyNet, events, fit, loaders, trainer
from helpers.untouched import left_behind
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import Diagnosis, cnnviz_callbacks
from lightning_cnnviz.callbacks import diagnosis as this
from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Finding, Observation
from lightning_cnnviz.statistics.run_evidence import RunEvidence


@pytest.fixture(autouse=True)
def _failures_fail(request):
    """Whatever a diagnosis fails to do fails the test."""
    with warnings.catch_warnings():
        if "fails" not in request.node.name:
            warnings.filterwarnings("error", message=".* failed to look for faults")
        yield


def rules(callback):
    return [one.rule for one in callback.findings()]


class Doubled(TinyNet):
    """A softmax before a loss that applies one."""

    def forward(self, x):
        return super().forward(x).softmax(1)


class Manual(TinyNet):
    """Two optimizers that take turns."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        x, y = batch
        for optimizer in self.optimizers():
            loss = F.cross_entropy(self(x), y)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self):
        early = [*self.conv1.parameters(), *self.norm.parameters(), *self.conv2.parameters()]
        late = [*self.fc1.parameters(), *self.fc2.parameters()]
        return torch.optim.SGD(early, lr=0.05, momentum=0.9), torch.optim.Adam(late, lr=0.01)


# ---- training is untouched


@pytest.mark.parametrize(
    ("net", "options"),
    [
        (TinyNet, {}),
        (TinyNet, {"accumulate_grad_batches": 4}),
        (TinyNet, {"precision": "bf16-mixed"}),
        (TinyNet, {"gradient_clip_val": 0.1}),
        (Manual, {}),
        (Doubled, {}),
    ],
    ids=["plain", "accumulated", "bf16-mixed", "clipped", "manual", "found"],
)
def test_training_is_untouched_bit_for_bit(net, options, tmp_path):
    found = []
    for name, used in (("bare", []), ("with", [Diagnosis()])):
        run = fit(tmp_path / name, used, model=net, max_epochs=3, **options)
        found.append(left_behind(run, tmp_path / name))
    bare, ours = found
    assert [name for name in {**bare, **ours} if bare.get(name) != ours.get(name)] == []
    if net is Doubled:
        assert rules(used[0]) == ["softmax_before_loss"]


def test_a_loss_that_is_not_a_number_is_looked_into_without_a_trace(tmp_path):
    found = []
    for name, used in (("bare", []), ("with", [Diagnosis()])):
        run = fit(tmp_path / name, used, model=Broken, max_epochs=2)
        found.append(left_behind(run, tmp_path / name))
    bare, ours = found
    assert [name for name in {**bare, **ours} if repr(bare.get(name)) != repr(ours.get(name))] == []  # NaN ≠ NaN
    assert rules(used[0]) == ["non_finite"]


# ---- what is looked at


class Kept(Diagnosis):
    """Keeps its evidence."""

    def _end(self, trainer):
        self.evidence = self._run.evidence(trainer.global_step) if self._run is not None else self.evidence
        super()._end(trainer)


@pytest.mark.parametrize("accumulated", [1, 4])
def test_the_steps_looked_at_are_the_early_ones_and_each_hundredth(accumulated, tmp_path):
    kept = Kept()
    data = loaders(size=48 * accumulated)
    fit(tmp_path, [kept], data=data, max_epochs=36, accumulate_grad_batches=accumulated, limit_val_batches=0)
    looks = kept.evidence.looks
    assert [look.step for look in looks] == [1, 2, 4, 9, 17, 33, 65, 101, 201]
    assert all({"conv1", "conv2", "fc1", "fc2"} == set(look.gradients) for look in looks)
    assert all(math.isfinite(row["update_ratio"]) for look in looks for row in look.gradients.values())


def test_losses_and_norms_are_those_of_the_run(tmp_path):
    class Noting(TinyNet):
        def __init__(self):
            super().__init__()
            self.seen, self.norms, self.accuracies = [], [], []

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self(x)
            loss = F.cross_entropy(scores, y)
            self.seen.append(loss.detach().double().item())
            self.accuracies.append((scores.argmax(1) == y).double().mean().item())
            return loss

        def on_before_optimizer_step(self, optimizer):
            gradients = [weight.grad.double().flatten() for weight in self.parameters()]
            self.norms.append(torch.cat(gradients).norm().item())

    kept = Kept()
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.01}
    model = fit(tmp_path, [kept], model=Noting, max_epochs=6, **options).lightning_module
    evidence = kept.evidence
    np.testing.assert_allclose(evidence.losses, model.seen, rtol=1e-6)
    assert evidence.loss_steps.tolist() == [(batch + 1) // 2 for batch in range(36)]
    for look in evidence.looks:
        assert look.total_norm == pytest.approx(model.norms[look.step - 1], rel=1e-5)
    assert evidence.setup.clip_norm == 0.01
    assert evidence.setup.planned_steps == 18
    assert evidence.setup.epoch_steps == 3
    assert [one.accuracy for one in evidence.scores[:1]] == model.accuracies[:1]


def test_validations_are_summed_over_their_batches(tmp_path):
    class Noting(TinyNet):
        def __init__(self):
            super().__init__()
            self.seen = []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            losses = F.cross_entropy(self(x).double(), y, reduction="none")
            if not self.trainer.sanity_checking:
                self.seen.append(losses.numpy())

    kept = Kept()
    model = fit(tmp_path, [kept], model=Noting).lightning_module
    evidence = kept.evidence
    assert [one.step for one in evidence.validations] == [6, 12]
    for one, losses in zip(evidence.validations, (model.seen[:5], model.seen[5:]), strict=True):
        np.testing.assert_allclose(one.losses, np.concatenate(losses), rtol=1e-5)


# ---- nothing stays behind


class Stop(pl.Callback):
    def __init__(self, error, step=3):
        self.error, self.step = error, step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise self.error


def hooks_of(model):
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for part in model.modules() for name in names for hook in vars(part).get(name, {}).values()]


@pytest.mark.parametrize("error", [None, RuntimeError("crash"), KeyboardInterrupt()], ids=["end", "error", "ctrl-c"])
def test_what_was_found_is_there_after_any_end_and_nothing_else_is(error, tmp_path):
    callback, model = Diagnosis(), Doubled()
    if error is None:
        fit(tmp_path, [callback], model=model)
    else:
        with pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
            fit(tmp_path, [Stop(error), callback], model=model)
    assert hooks_of(model) == []
    assert rules(callback) == ["softmax_before_loss"]
    found = callback.findings()[0]
    assert (found.first_step, found.told_step, found.sure) == (1, 1, "certain")
    assert json.loads((tmp_path / "run" / "findings.json").read_text()) == [found.as_dict()]


class Copies(pl.Callback):
    def __init__(self, callback, folder):
        self.callback, self.folder, self.copies = callback, folder, 0

    def _copy(self, trainer, module):
        for one in (copy.deepcopy(self.callback), pickle.loads(pickle.dumps(self.callback))):
            assert rules(one) == rules(self.callback)
            one.on_train_batch_start(trainer, module, None, 0)  # a copy is in no run
        torch.save(module, self.folder / "model.pt")
        copied = torch.load(self.folder / "model.pt", weights_only=False)
        x = torch.rand(5, 1, 8, 8)
        training = module.training
        with torch.no_grad():
            assert torch.equal(copied.eval()(x), module.eval()(x))
        module.train(training)
        self.copies += 1

    def on_train_batch_start(self, trainer, pl_module, *_):
        self._copy(trainer, pl_module)

    def on_before_backward(self, trainer, pl_module, *_):
        pickle.loads(pickle.dumps(self.callback))
        copy.deepcopy(self.callback)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._copy(trainer, pl_module)


def test_callback_and_model_can_be_copied_and_saved_at_any_time(tmp_path):
    callback = Diagnosis()
    copies = Copies(callback, tmp_path)
    fit(tmp_path, [callback, copies], model=Doubled, max_epochs=1)
    assert copies.copies == 12
    assert rules(callback) == ["softmax_before_loss"]


# ---- where it is told


def told(caught):
    return [str(one.message) for one in caught if str(one.message).startswith("Diagnosis")]


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


class Broken(TinyNet):
    """The square root of what becomes negative in the eighth batch."""

    def __init__(self):
        super().__init__()
        self.head, self.root = nn.Identity(), Root()  # defined in another order than they run
        self.batches = 0

    def forward(self, x):
        x = self.root(x.abs()) if self.batches < 8 else self.root(x - 9)
        return self.head(super().forward(x))

    def training_step(self, batch, batch_idx):
        self.batches += 1
        return super().training_step(batch, batch_idx)


class Root(nn.Module):
    def forward(self, x):
        return x.sqrt()


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


def test_a_layer_that_is_cut_off_the_loss_is_named(tmp_path):
    class Larger(Detached):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
            self.norm, self.conv2 = nn.BatchNorm2d(12), nn.Conv2d(12, 8, 3)

    callback = Diagnosis()
    fit(tmp_path, [callback], model=Larger, max_epochs=3)
    assert [(one.rule, one.layers) for one in callback.findings()] == [("layer_not_trained", ("conv1",))]


# ---- all kinds of runs


class Streamed(IterableDataset):
    def __iter__(self):
        data = TinyData(48)
        yield from (data[index] for index in range(48))


class Named(TinyNet):
    def training_step(self, batch, batch_idx):
        return super().training_step((batch["image"], batch["label"]), batch_idx)

    def validation_step(self, batch, batch_idx):
        return super().validation_step((batch["image"], batch["label"]), batch_idx)


def named(seed):
    return DataLoader([{"image": x, "label": y} for x, y in TinyData(48, seed=seed)], 8, shuffle=not seed)


class Several(TinyNet):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)


class WrittenOut(TinyNet):
    """The loss is not known to compare classes, but it does."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        return -self(x).log_softmax(1)[torch.arange(len(y)), y].mean()


class Lazy(TinyNet):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.LazyLinear(16)


class Regression(TinyNet):
    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self(x)[:, :1], x.mean((1, 2, 3))[:, None])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))


class Autoencoder(Regression):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid())

    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self.decoder(self(x)), x.flatten(1))


class Negative(Regression):
    """The evidence of a density, whose negative logarithm falls below zero."""

    def training_step(self, batch, batch_idx):
        x, _ = batch
        found = self(x)
        return (found[:, 0] - x.mean((1, 2, 3))).square().mean() * 100 - 50


class Recurrent(TinyNet):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 4)
        del self.conv1, self.conv2, self.norm, self.fc1, self.fc2, self.drop

    def forward(self, x):
        return self.head(self.rnn(x[:, 0])[0][:, -1])


class Words(TinyNet):
    """Inputs are whole numbers."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(3, 8), nn.Linear(8 * 64, 4)
        del self.conv1, self.conv2, self.norm, self.fc1, self.fc2, self.drop

    def forward(self, x):
        return self.head(self.embedding((x.flatten(1) > 0.6).long()).flatten(1).relu())


class Complex(TinyNet):
    """Inputs are complex numbers."""

    def __init__(self):
        super().__init__()
        self.spectral = nn.Parameter(torch.randn(64, 16, dtype=torch.complex64) / 8)

    def forward(self, x):
        return self.fc2((torch.fft.fft2(x).flatten(1) @ self.spectral).abs())


class Adversarial(TinyNet):
    """A generator and a discriminator."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 64), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Linear(64, 16), nn.LeakyReLU(), nn.Linear(16, 1))
        del self.conv1, self.conv2, self.norm, self.fc1, self.fc2, self.drop

    def forward(self, x):
        return self.generator(x)

    def training_step(self, batch, batch_idx):
        real = batch[0].flatten(1)
        first, second = self.optimizers()
        fake = self(torch.randn(len(real), 4))
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        first.zero_grad()
        self.manual_backward(F.binary_cross_entropy_with_logits(self.discriminator(fake), ones))
        first.step()
        second.zero_grad()
        scores = self.discriminator(torch.cat([real, fake.detach()]))
        self.manual_backward(F.binary_cross_entropy_with_logits(scores, torch.cat([ones, zeros])))
        second.step()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return [torch.optim.Adam(part.parameters(), 2e-3) for part in (self.generator, self.discriminator)]


class Skipping(TinyNet):
    """Skips batches, the first and every other."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) if batch_idx % 2 else None


class Checkpointing(TinyNet):
    def forward(self, x):
        x = torch.utils.checkpoint.checkpoint(lambda x: self.relu(self.conv1(x)), x, use_reentrant=False)
        x = self.pool(F.relu(self.conv2(x))).flatten(1)
        return self.fc2(self.act(self.fc1(x)))


KINDS = {
    "streamed": (TinyNet, (DataLoader(Streamed(), 8), None), {}),
    "dictionaries": (Named, (named(0), named(1)), {}),
    "no validation": (TinyNet, (loaders()[0], None), {}),
    "several validations": (Several, (loaders()[0], [loaders()[1], loaders()[1]]), {}),
    "few steps": (TinyNet, None, {"max_steps": 5}),
    "limited": (TinyNet, None, {"limit_train_batches": 2, "limit_val_batches": 1}),
    "validation in the epoch": (TinyNet, None, {"val_check_interval": 2}),
    "no sanity check": (TinyNet, None, {"num_sanity_val_steps": 0}),
    "reloaded": (TinyNet, None, {"reload_dataloaders_every_n_epochs": 1}),
    "batches of one": (Recurrent, loaders(24, 1), {}),
    "lazy": (Lazy, None, {}),
    "regression": (Regression, None, {}),
    "autoencoder": (Autoencoder, None, {}),
    "negative loss": (Negative, None, {}),
    "recurrent": (Recurrent, None, {}),
    "whole numbers": (Words, None, {}),
    "complex numbers": (Complex, None, {}),
    "adversarial": (Adversarial, None, {}),
    "manual": (Manual, None, {}),
    "bf16": (TinyNet, None, {"precision": "bf16-true"}),
    "written out": (WrittenOut, None, {}),
    "skipping": (Skipping, None, {}),
    "checkpointing": (Checkpointing, None, {}),
    "accumulation that changes": (
        TinyNet,
        None,
        {"callbacks": [pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 3})]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_runs_that_are_sound_are_silent(kind, tmp_path):
    net, data, options = KINDS[kind]
    options = dict(options)
    callback = Kept()
    callbacks = [callback, *options.pop("callbacks", [])]
    model = net()
    fit(tmp_path, callbacks, model=model, data=data, **{"max_epochs": 14, **options})
    assert rules(callback) == []
    assert hooks_of(model) == []
    assert callback.evidence.looks
    if kind not in ("adversarial", "manual"):
        assert len(callback.evidence.losses)
    has_classes = kind not in ("regression", "autoencoder", "negative loss", "adversarial", "written out")
    assert callback.evidence.of_classes == has_classes


@pytest.mark.parametrize("options", [{"fast_dev_run": True}, {"max_epochs": 0}, {"max_steps": 0}], ids=str)
def test_where_nothing_is_trained_nothing_is_said(options, tmp_path):
    callback = Diagnosis()
    fit(tmp_path, [callback], model=Doubled, **options)
    assert callback.findings() == []


def test_a_batch_that_is_to_be_fitted_is_no_leak(tmp_path):
    callback = Diagnosis()
    fit(tmp_path, [callback], overfit_batches=1, max_epochs=30)
    assert rules(callback) == []


def test_a_compiled_model_is_left_alone(tmp_path):
    torch._dynamo.reset()
    callback = Diagnosis()
    compiled = torch.compile(TinyNet(), backend="eager")
    fit(tmp_path, [callback], model=compiled)
    assert rules(callback) == []


# ---- it never ends a run


def test_a_rule_that_fails_is_told_once_and_the_run_goes_on(tmp_path, monkeypatch, recwarn):
    def fails(_):
        raise ZeroDivisionError("no such number")

    monkeypatch.setattr(this, "observe", fails)
    callback = Diagnosis()
    run = fit(tmp_path, [callback], model=Doubled)
    assert run.global_step == 12
    assert callback.findings() == []
    assert told(recwarn.list) == [
        "Diagnosis failed to look for faults; training continues: ZeroDivisionError: no such number (shown once)"
    ]


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
    def seen(evidence: Evidence):
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
