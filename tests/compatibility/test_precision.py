"""The gradient statistics in every precision and with every way to step, beside gradients by hand in NumPy."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, events, fit, image_steps, scalars
from pytorch_lightning.callbacks import BackboneFinetuning, GradientAccumulationScheduler, StochasticWeightAveraging
from pytorch_lightning.plugins import HalfPrecision, MixedPrecision
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from lightning_cnnviz import GradientFlow, cnnviz_callbacks

LAYERS = ("conv", "fc", "head")
BATCH, BATCHES = 6, 8


class Net(pl.LightningModule):
    """Simple enough for its gradients to be written out, see `gradients`."""

    def __init__(self, optimizer=torch.optim.SGD, **options):
        super().__init__()
        self.optimizer, self.options = optimizer, {"lr": 0.05, **options}
        self.conv = nn.Conv2d(1, 4, 2, stride=2)
        self.fc = nn.Linear(64, 12)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.fc(torch.tanh(self.conv(x)).flatten(1))))

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    validation_step = training_step

    def configure_optimizers(self):
        return self.optimizer(self.parameters(), **self.options)


def gradients(weights, x, y):
    """Back-propagation through `Net` in float64 NumPy: layer → gradient of its weight."""
    samples = len(x)
    patches = x.reshape(samples, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(samples, 16, 4)
    maps = np.tanh(
        patches @ weights["conv.weight"].reshape(4, 4).T + weights["conv.bias"]
    )  # samples, places, channels
    flat = maps.transpose(0, 2, 1).reshape(samples, 64)
    hidden = np.tanh(flat @ weights["fc.weight"].T + weights["fc.bias"])
    scores = hidden @ weights["head.weight"].T + weights["head.bias"]
    likely = np.exp(scores - scores.max(1, keepdims=True))
    at_scores = (likely / likely.sum(1, keepdims=True) - np.eye(4)[y]) / samples
    at_hidden = at_scores @ weights["head.weight"] * (1 - hidden**2)
    at_maps = (at_hidden @ weights["fc.weight"]).reshape(samples, 4, 16).transpose(0, 2, 1) * (1 - maps**2)
    return {
        "conv": np.einsum("spc,spk->ck", at_maps, patches).reshape(4, 1, 2, 2),
        "fc": at_hidden.T @ flat,
        "head": at_scores.T @ hidden,
    }


def weights_of(module):
    return {name: weight.detach().double().numpy().copy() for name, weight in module.named_parameters()}


class ByHand(pl.Callback):
    """Keeps the gradient of each optimizer step's mean loss, and the weights before and after it."""

    def __init__(self, accumulate=lambda epoch: 1):
        self.accumulate, self.steps, self.parts = accumulate, [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if not self.parts:
            self.before, self.step = weights_of(pl_module), trainer.global_step
        x, y = batch
        self.parts.append(gradients(weights_of(pl_module), x.double().numpy()[:, 0], y.numpy()))

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step > self.step:
            accumulated = self.accumulate(trainer.current_epoch)  # Lightning divides by this in shorter steps too
            mean = {name: sum(part[name] for part in self.parts) / accumulated for name in LAYERS}
            after = weights_of(pl_module)
            ratio = {
                name: np.linalg.norm(after[f"{name}.weight"] - old) / np.linalg.norm(old)
                for name, old in ((name, self.before[f"{name}.weight"]) for name in LAYERS)
            }
            self.steps.append((trainer.global_step, mean, ratio))
            self.parts = []


def expected(steps, name):
    """Of at most ten steps, of which zeros and updates are looked at in the first two only."""
    looks = steps[:2]
    found = [mean[name] for _, mean, _ in steps]
    return {
        "mean_abs": np.mean([np.abs(g).mean() for g in found]),
        "max_abs": max(np.abs(g).max() for g in found),
        "norm": np.mean([np.linalg.norm(g) for g in found]),
        "zero_share": np.mean([(mean[name] == 0).mean() for _, mean, _ in looks]),
        "non_finite": 0,
        "update_ratio": np.mean([ratio[name] for *_, ratio in looks]),
    }


def data():
    return DataLoader(TinyData(BATCH * BATCHES), BATCH), DataLoader(TinyData(16, seed=1), 8)


def watch(folder, model, by_hand, rel, layers=LAYERS, callbacks=(), **options):
    """Trains for two epochs and compares all statistics of each with those by hand."""
    fit(folder, [by_hand, GradientFlow(on_error="raise"), *callbacks], model=model, data=data(), **options)
    assert by_hand.steps
    start = 0
    for epoch, (end, _) in enumerate(scalars(folder, f"gradient_flow/{layers[0]}/norm")):
        steps = [step for step in by_hand.steps if start < step[0] <= end]
        for name in layers:
            for statistic, value in expected(steps, name).items():
                step, logged = scalars(folder, f"gradient_flow/{name}/{statistic}")[epoch]
                assert step == end
                assert logged == pytest.approx(value, rel=rel, abs=1e-12), (name, statistic, epoch)
        start = end
    assert epoch == 1
    assert set(image_steps(folder)) >= {"gradient_flow/bars", "gradient_flow/heatmap"}


EXACT, SINGLE, HALF = 1e-6, 1e-4, 0.1
"""Relative deviations that rounding explains: of what is logged in float32, of float32, of bfloat16 (8 bits)."""


# ---- precision


@pytest.mark.parametrize(
    ("precision", "rel"), [("32-true", SINGLE), ("64-true", EXACT), ("bf16-mixed", HALF), ("bf16-true", HALF)]
)
def test_precision(precision, rel, tmp_path):
    model = Net(lr=0.5) if precision == "bf16-true" else Net()  # smaller updates are lost in eight bits
    watch(tmp_path, model, ByHand(), rel, precision=precision)


def test_precision_16_true(tmp_path):
    watch(tmp_path, Net(lr=0.5), ByHand(), 0.02, plugins=HalfPrecision("16-true"))


class Scales(pl.Callback):
    """Keeps the loss scale of each step."""

    def __init__(self):
        self.scales = []

    def on_before_optimizer_step(self, trainer, *_):
        self.scales.append(trainer.precision_plugin.scaler.get_scale())


@pytest.mark.parametrize(
    "options",
    [{"foreach": True}, {"fused": True}, {"foreach": False}],
    ids=lambda options: ",".join(f"{key}={value}" for key, value in options.items()),
)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_precision_16_mixed(kind, options, tmp_path):
    """A loss scale of 1,024 on the CPU, which Lightning itself offers on a GPU only (see `tests/test_gpu.py`)."""
    scales = Scales()
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))
    watch(tmp_path, Net(kind, **options), ByHand(), 0.02, callbacks=[scales], plugins=plugin)
    assert set(scales.scales) == {1024.0}


def test_precision_16_mixed_steps_that_overflow_are_left_out(tmp_path):
    scales = Scales()
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**22))
    fit(tmp_path, [GradientFlow(on_error="raise"), scales], model=Net(), data=data(), plugins=plugin)
    assert scales.scales[0] == 2.0**22
    assert scales.scales[-1] < 2.0**22
    (_, lost), *_ = scalars(tmp_path, "gradient_flow/head/non_finite")
    assert lost > 0
    assert all(0 < norm < 10 for _, norm in scalars(tmp_path, "gradient_flow/head/norm"))


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"])
def test_everything_is_drawn_in_precision(precision, tmp_path):
    callbacks = cnnviz_callbacks("full", method="pca", history=0, num_samples=12, on_error="raise")
    fit(tmp_path, callbacks, model=Net(), data=data(), max_epochs=1, precision=precision)
    drawn = {tag.split("/")[0] for tag in image_steps(tmp_path)}
    always = {"gradient_flow", "curves", "class_report", "kernels", "feature_maps", "projection", "architecture"}
    assert drawn == always | {"filter_response", "activations", "activating_patches", "sample_history", "saliency"}


# ---- how often, and how far, a step is taken


@pytest.mark.parametrize("accumulate", [2, 3])  # three do not divide the epoch
@pytest.mark.parametrize("clip", [{}, {"gradient_clip_val": 1e-3}], ids=["", "clipped"])
def test_accumulation(accumulate, clip, tmp_path):
    watch(tmp_path, Net(), ByHand(lambda _: accumulate), SINGLE, accumulate_grad_batches=accumulate, **clip)


def test_accumulation_that_changes(tmp_path):
    schedule = GradientAccumulationScheduler({0: 4, 1: 2})
    watch(tmp_path, Net(), ByHand(lambda epoch: (4, 2)[epoch]), SINGLE, callbacks=[schedule])


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping(algorithm, tmp_path):
    watch(tmp_path, Net(), ByHand(), SINGLE, gradient_clip_val=1e-3, gradient_clip_algorithm=algorithm)


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_fused_and_foreach_optimizers(kind, options, tmp_path):
    watch(tmp_path, Net(kind, **options), ByHand(), SINGLE)


@pytest.mark.parametrize("kind", [torch.optim.RMSprop, torch.optim.NAdam, torch.optim.Adafactor])
def test_other_optimizers(kind, tmp_path):
    watch(tmp_path, Net(kind, lr=1e-3), ByHand(), SINGLE)


def test_an_optimizer_that_asks_for_several_gradients_in_a_step(tmp_path):
    """L-BFGS: statistics are over all gradients that it asked for, of which the first is that of the batch's start."""
    by_hand = ByHand()
    model = Net(torch.optim.LBFGS, lr=0.1, max_iter=3)
    watching = GradientFlow(every_n_train_steps=1, on_error="raise")
    fit(tmp_path, [by_hand, watching], model=model, data=data(), max_steps=3)
    (_, first, _), *_ = by_hand.steps
    largest = scalars(tmp_path, "gradient_flow/head/max_abs")
    assert len(largest) == len(by_hand.steps) == 3
    assert largest[0][1] >= 0.999 * np.abs(first["head"]).max()
    assert scalars(tmp_path, "gradient_flow/head/zero_share")[0][1] == (first["head"] == 0).mean()


# ---- which weights are stepped


class Gan(pl.LightningModule):
    """Two networks that train against each other, by hand; `norms` are of the gradients that autograd left."""

    def __init__(self, clip=None):
        super().__init__()
        self.automatic_optimization = False
        self.clip = clip
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 64))
        self.critic = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 1))
        self.norms = {"generator.0": [], "generator.2": [], "critic.0": [], "critic.2": []}

    def forward(self, z):
        return self.generator(z)

    def training_step(self, batch, batch_idx):
        real, z = batch[0].flatten(1), torch.linspace(-1, 1, 4 * len(batch[0])).reshape(-1, 4)
        of_generator, of_critic = self.optimizers()
        self.update("generator", of_generator, lambda: F.softplus(-self.critic(self(z))).mean())
        if batch_idx % 2 == 0:
            fooled = self(z).detach()
            both = lambda: (F.softplus(-self.critic(real)) + F.softplus(self.critic(fooled))).mean()  # noqa: E731
            self.update("critic", of_critic, both)

    def update(self, name, optimizer, loss):
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        self.manual_backward(loss())
        for at in ("0", "2"):
            gradient = self.get_submodule(f"{name}.{at}").weight.grad
            self.norms[f"{name}.{at}"].append(np.linalg.norm(gradient.double().numpy()))
        if self.clip:
            self.clip_gradients(optimizer, gradient_clip_val=self.clip, gradient_clip_algorithm="norm")
        optimizer.step()
        self.untoggle_optimizer(optimizer)

    def configure_optimizers(self):
        return [torch.optim.Adam(self.generator.parameters(), 0.01), torch.optim.SGD(self.critic.parameters(), 0.01)]


def test_a_gan_of_two_optimizers_by_hand(tmp_path):
    model = Gan()
    fit(tmp_path, cnnviz_callbacks("minimal", on_error="raise"), model=model, data=(data()[0], None), max_epochs=1)
    assert len(model.norms["generator.0"]) == 2 * len(model.norms["critic.0"]) == BATCHES
    for name, norms in model.norms.items():
        ((_, norm),) = scalars(tmp_path, f"gradient_flow/{name}/norm")
        assert norm == pytest.approx(np.mean(norms), rel=SINGLE), name


def test_what_a_training_step_clips_by_hand_is_seen_clipped(tmp_path):
    """Lightning's hook comes with the optimizer's step, which in manual optimization is after the clipping."""
    model = Gan(clip=1e-3)
    fit(tmp_path, [GradientFlow(on_error="raise")], model=model, data=(data()[0], None), max_epochs=1)
    assert np.mean(model.norms["critic.0"]) > 2e-3
    ((_, norm),) = scalars(tmp_path, "gradient_flow/critic.0/norm")
    assert norm < 1.001e-3


def test_frozen_layers_have_no_gradient(tmp_path):
    model = Net()
    model.conv.requires_grad_(False)
    watch(tmp_path, model, ByHand(), SINGLE, layers=("fc", "head"))
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("gradient_flow/conv")]


class Backbone(Net):
    """Its first layers are the backbone that Lightning's callback unfreezes."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleList([self.conv])

    def configure_optimizers(self):
        return torch.optim.SGD([weight for weight in self.parameters() if weight.requires_grad], lr=0.05)


def test_layers_that_are_unfrozen_later(tmp_path):
    """Names are those of `named_parameters`, where a shared layer has the name that it was given first."""
    by_hand, unfreeze = ByHand(), BackboneFinetuning(unfreeze_backbone_at_epoch=1, train_bn=False)
    model = Backbone()
    fit(tmp_path, [unfreeze, by_hand, GradientFlow(on_error="raise")], model=model, data=data())
    ((step, norm),) = scalars(tmp_path, "gradient_flow/conv/norm")
    assert step == 2 * BATCHES
    late = [mean["conv"] for step, mean, _ in by_hand.steps if step > BATCHES]
    assert norm == pytest.approx(np.mean([np.linalg.norm(g) for g in late]), rel=SINGLE)
    assert len(scalars(tmp_path, "gradient_flow/fc/norm")) == 2


class Idle(Net):
    def __init__(self):
        super().__init__()
        self.idle = nn.Linear(3, 3)


def test_parameters_without_gradients(tmp_path):
    watch(tmp_path, Idle(), ByHand(), SINGLE)
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("gradient_flow/idle")]


# ---- other callbacks that reach into the training


def exponential():
    if not hasattr(pl.callbacks, "EMAWeightAveraging"):
        pytest.skip("EMAWeightAveraging came with Lightning 2.6")
    return pl.callbacks.EMAWeightAveraging(decay=0.9)


def stochastic():
    return StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1, annealing_epochs=1)


@pytest.mark.parametrize("averaging", [exponential, stochastic])
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "ours last"])
def test_averaged_weights(averaging, ours_first, tmp_path):
    """The gradients are those of the trained weights, the averaged ones come out as in the bare run."""

    def train(folder, ours):
        by_hand = ByHand()
        torch.manual_seed(0)  # the same weights to begin with
        callbacks = [by_hand, *ours, averaging()] if ours_first else [by_hand, averaging(), *ours]
        run = fit(folder, callbacks, model=Net(), data=data())
        return by_hand.steps, run.lightning_module.state_dict()

    options = {"method": "pca", "history": 0, "num_samples": 12}
    _, bare = train(tmp_path / "bare", [])
    steps, found = train(tmp_path / "ours", cnnviz_callbacks("full", **options, on_error="raise"))
    for name, weight in bare.items():
        assert torch.equal(weight, found[name]), name
    for name in LAYERS:
        last = [mean[name] for step, mean, _ in steps if step > BATCHES]
        logged = scalars(tmp_path / "ours", f"gradient_flow/{name}/norm")[1][1]
        assert logged == pytest.approx(np.mean([np.linalg.norm(g) for g in last]), rel=SINGLE), name


class Checkpointed(Net):
    def forward(self, x):
        flat = checkpoint(lambda x: torch.tanh(self.conv(x)).flatten(1), x, use_reentrant=False)
        return self.head(checkpoint(lambda flat: torch.tanh(self.fc(flat)), flat, use_reentrant=False))


class CheckpointedReentrant(Net):
    def forward(self, x):
        flat = torch.tanh(self.conv(x)).flatten(1)
        return self.head(checkpoint(lambda flat: torch.tanh(self.fc(flat)), flat, use_reentrant=True))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")  # as in any validation
@pytest.mark.parametrize("kind", [Checkpointed, CheckpointedReentrant])
def test_gradient_checkpointing(kind, tmp_path):
    """Layers run twice in a step: their gradients count once, and so do samples for the accuracy."""
    watch(tmp_path / "gradients", kind(), ByHand(), SINGLE)
    options = {"method": "pca", "history": 0, "num_samples": 12, "on_error": "raise"}
    for name, net in (("plain", Net), ("checkpointed", kind)):
        torch.manual_seed(0)  # the same weights to begin with
        fit(tmp_path / name, cnnviz_callbacks(**options), model=net(), data=data())
    for stage in ("train", "val"):
        tags = [f"curves/accuracy/{stage}", f"curves/loss/{stage}"]
        for tag in tags:
            assert scalars(tmp_path / "plain", tag) == scalars(tmp_path / "checkpointed", tag)
    assert image_steps(tmp_path / "plain") == image_steps(tmp_path / "checkpointed")
