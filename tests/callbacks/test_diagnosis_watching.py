"""What a diagnosis looks at, and that it leaves runs as they are."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.diagnosed import Broken, Doubled, Kept, Manual, hooks_of, rules
from helpers.tiny import TinyNet, fit, loaders
from helpers.untouched import left_behind
from torch.nn import functional as F

from lightning_cnnviz import Diagnosis

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
