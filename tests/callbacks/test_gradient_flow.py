"""The statistics in the event file are those of the true gradients."""

import copy
import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, scalars, trainer
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_cnnviz import GradientFlow
from lightning_cnnviz.functional.gradients.gradient_flow import gradient_heat_map


class Plain(pl.LightningModule):
    """Without dropout and batch norm, so that its gradients can be computed again from the weights and a batch."""

    def __init__(self, optimizer=torch.optim.SGD, learning_rate=0.1, scale=1.0):
        super().__init__()
        self.optimizer, self.learning_rate, self.scale = optimizer, learning_rate, scale
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(144, 4)

    def loss(self, batch):
        x, y = batch
        return self.scale * F.cross_entropy(self.fc(torch.tanh(self.conv(x.to(self.fc.weight.dtype))).flatten(1)), y)

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def configure_optimizers(self):
        return self.optimizer(self.parameters(), lr=self.learning_rate)


class Alternating(Plain):
    """Two optimizers that take turns."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.norms = [[], []]

    def configure_optimizers(self):
        return [torch.optim.SGD(layer.parameters(), 0.1) for layer in (self.conv, self.fc)]

    def training_step(self, batch, batch_idx):
        turn = batch_idx % 2
        optimizer = self.optimizers()[turn]
        optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        self.norms[turn].append(float((self.conv, self.fc)[turn].weight.grad.norm()))
        optimizer.step()


class Reference(pl.Callback):
    """Autograd in float64 on a copy of the model: the gradient of each optimizer step's mean loss."""

    def __init__(self, accumulate):
        self.accumulate, self.steps, self.pending = accumulate, [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if not self.pending:
            self.before = copy.deepcopy(pl_module.state_dict())
        twin = copy.deepcopy(pl_module).double()
        twin.zero_grad()
        twin.requires_grad_(True)
        twin.loss(batch).backward()
        self.pending.append({name: layer.weight.grad.cpu().numpy() for name, layer in twin.named_children()})

    def on_train_batch_end(self, trainer, pl_module, *_):
        if len(self.pending) == self.accumulate:
            mean = {name: sum(part[name] for part in self.pending) / self.accumulate for name in self.pending[0]}
            after = pl_module.state_dict()
            ratio = {
                name: float((after[f"{name}.weight"].double() - old).norm() / old.norm())
                for name, old in ((name, self.before[f"{name}.weight"].double()) for name in mean)
            }
            self.steps.append((mean, ratio))
            self.pending = []


def expected(steps, name):
    """Of at most 10 steps, so that zeros and updates are looked at in the first two only."""
    gradients = [mean[name] for mean, _ in steps]
    return {
        "mean_abs": np.mean([np.abs(g).mean() for g in gradients]),
        "max_abs": np.max([np.abs(g).max() for g in gradients]),
        "norm": np.mean([np.sqrt((g**2).sum()) for g in gradients]),
        "zero_share": np.mean([(g == 0).mean() for g in gradients[:2]]),
        "non_finite": 0,
        "update_ratio": np.mean([ratio[name] for _, ratio in steps[:2]]),
    }


def data(batch_size=8):
    return DataLoader(TinyData(48), batch_size), None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate_grad_batches": 2},
        {"gradient_clip_val": 1e-3},
        {"accumulate_grad_batches": 3, "gradient_clip_val": 1e-3},
    ],
    ids=str,
)
def test_statistics_are_those_of_true_gradients(options, tmp_path):
    reference = Reference(options.get("accumulate_grad_batches", 1))
    watching = GradientFlow(every_n_epochs=1, on_error="raise")
    fit(tmp_path, [reference, watching], model=Plain(), data=data(), **options)
    per_epoch = len(reference.steps) // 2
    for name in ("conv", "fc"):
        for epoch in (0, 1):
            steps = reference.steps[epoch * per_epoch : (epoch + 1) * per_epoch]
            for statistic, value in expected(steps, name).items():
                step, logged = scalars(tmp_path, f"gradient_flow/{name}/{statistic}")[epoch]
                assert step == (epoch + 1) * per_epoch
                assert logged == pytest.approx(value, rel=1e-4, abs=1e-12), (name, statistic)


@pytest.mark.parametrize(("every", "watched"), [(2, [[0, 2, 4], [0, 2, 4]]), (4, [[0, 4], [2]]), (7, [[0], [1]])])
def test_statistics_are_over_the_steps_that_are_watched(every, watched, tmp_path):
    reference = Reference(1)
    fit(tmp_path, [reference, GradientFlow(watch_every_n_steps=every, on_error="raise")], model=Plain(), data=data())
    for name in ("conv", "fc"):
        for epoch, of_epoch in enumerate(watched):
            steps = [reference.steps[6 * epoch + step] for step in of_epoch]
            for statistic, value in expected(steps, name).items():
                _, logged = scalars(tmp_path, f"gradient_flow/{name}/{statistic}")[epoch]
                assert logged == pytest.approx(value, rel=1e-4, abs=1e-12), (name, statistic)


def test_of_two_optimizers_each_has_its_own_steps_watched(tmp_path):
    model = Alternating()
    fit(tmp_path, [GradientFlow(watch_every_n_steps=3, on_error="raise")], model=model, data=data(), max_epochs=1)
    for index, layer in enumerate(("conv", "fc")):  # which step in turn, three times each
        first = model.norms[index][0]
        assert scalars(tmp_path, f"gradient_flow/{layer}/norm")[0][1] == pytest.approx(first, rel=1e-5)
        assert abs(model.norms[index][1] - first) > 1e-3 * first


def test_a_picture_before_which_no_step_was_watched_is_left_out(tmp_path):
    fit(tmp_path, [GradientFlow(every_n_train_steps=2, watch_every_n_steps=5, on_error="raise")], max_epochs=2)
    assert image_steps(tmp_path)["gradient_flow/bars"] == [2, 6, 12]  # after the first, sixth and eleventh step


@pytest.mark.parametrize(("every", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_impossible_steps_to_watch(every, error):
    with pytest.raises(error, match="expected watch_every_n_steps to be"):
        GradientFlow(watch_every_n_steps=every)


def test_pictures_and_every_statistic_have_their_tags(tmp_path):
    fit(tmp_path, [GradientFlow(every_n_train_steps=4)])
    assert image_steps(tmp_path) == {"gradient_flow/bars": [4, 8, 12], "gradient_flow/heatmap": [4, 8, 12]}
    tags = {tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("gradient_flow/")}
    statistics = ("mean_abs", "max_abs", "norm", "zero_share", "non_finite", "update_ratio")
    # no biases and no normalisation layers by default
    assert tags == {
        f"gradient_flow/{layer}/{name}" for layer in ("conv1", "conv2", "fc1", "fc2") for name in statistics
    }


def test_frozen_layers_appear_when_they_are_unfrozen(tmp_path):
    class Unfreeze(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.conv.requires_grad_(trainer.current_epoch == 1)

    model = Plain()
    model.conv.requires_grad_(False)
    fit(tmp_path, [Unfreeze(), GradientFlow(on_error="raise")], model=model, data=data())
    assert [step for step, _ in scalars(tmp_path, "gradient_flow/conv/norm")] == [12]
    assert [step for step, _ in scalars(tmp_path, "gradient_flow/fc/norm")] == [6, 12]


@pytest.mark.parametrize(
    ("scale", "problem", "measured"),
    [
        (1e-12, "vanishing", "‖g‖/‖w‖ = "),
        (1e9, "exploding", "mean |g| = "),
        (float("nan"), "non-finite", "NaN or infinite"),
        (0.0, "vanishing", "all exactly zero"),
    ],
)
def test_words_name_each_layer_once(scale, problem, measured, tmp_path):
    model = Plain(scale=scale, learning_rate=0.0)
    with pytest.warns(UserWarning, match="GradientFlow") as caught:
        fit(tmp_path, [GradientFlow(every_n_train_steps=2, on_error="raise")], model=model, data=data())
    (said,) = [str(warning.message) for warning in caught if "GradientFlow: " in str(warning.message)]
    assert said.startswith(f"GradientFlow: {problem} gradients up to step 2: conv (")
    assert ", fc (" in said
    assert said.count(measured) == 2


def test_each_optimizer_counts_its_own_weights(tmp_path):
    class Two(Plain):
        automatic_optimization = False

        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.conv.parameters(), 0.1), torch.optim.SGD(self.fc.parameters(), 0.1)]

        def training_step(self, batch, batch_idx):
            # The first optimizer steps on every batch, the second on every other one.
            for index, optimizer in enumerate(self.optimizers()):
                if batch_idx % (index + 1) == 0:
                    loss = self.loss(batch)
                    optimizer.zero_grad()
                    self.manual_backward(loss)
                    self.seen.append(
                        (index, float(self.get_parameter(("conv.weight", "fc.weight")[index]).grad.norm()))
                    )
                    optimizer.step()

    model = Two()
    model.seen = []
    fit(tmp_path, [GradientFlow(on_error="raise")], model=model, data=data(), max_epochs=1)
    for index, layer in enumerate(("conv", "fc")):
        norms = [norm for number, norm in model.seen if number == index]
        assert len(norms) == (6, 3)[index]
        assert scalars(tmp_path, f"gradient_flow/{layer}/norm")[0][1] == pytest.approx(np.mean(norms), rel=1e-5)


def test_the_heat_map_goes_on_after_a_resume(tmp_path):
    first = GradientFlow()
    run = fit(tmp_path / "a", [first])
    run.save_checkpoint(tmp_path / "last.ckpt")
    second = GradientFlow()
    second.load_state_dict(torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"][first.state_key])
    assert [step for step, _ in second._history.columns] == [6, 12]


def test_the_heat_map_keeps_columns_that_are_even_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_cnnviz.statistics.column_history.MAX_HEAT_MAP_COLUMNS", 5)
    watching = GradientFlow(every_n_train_steps=1, on_error="raise")
    fit(tmp_path, [watching], model=Plain(), data=data(), max_epochs=3)
    steps = [step for step, _ in watching._history.columns]
    logged = dict(scalars(tmp_path, "gradient_flow/conv/mean_abs"))
    assert len(logged) == 18
    assert (steps[0], steps[-1], len(steps)) == (1, 18, 5)
    gaps = np.diff(steps[:-1])
    assert gaps.max() <= 2 * gaps.min()
    for step, column in watching._history.columns:
        assert column["conv"] == pytest.approx(logged[step], rel=1e-6)
    (*_, last) = events(tmp_path).Images("gradient_flow/heatmap")
    columns = np.array([[column[name] for _, column in watching._history.columns] for name in ("conv", "fc")])
    expected = gradient_heat_map(["conv", "fc"], steps, columns, title="gradient flow · epoch 3 · step 18")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(last.encoded_image_string)).convert("RGB")), expected)


@pytest.mark.parametrize(("vanishing", "exploding"), [(-1, 1), (1, 1), (2, 1)])
def test_impossible_thresholds(vanishing, exploding):
    with pytest.raises(ValueError, match="expected 0 <= vanishing < exploding"):
        GradientFlow(vanishing=vanishing, exploding=exploding)


def test_a_model_without_weights_gets_a_line(tmp_path):
    class Scale(Plain):
        def __init__(self):
            pl.LightningModule.__init__(self)
            self.factor = nn.Parameter(torch.ones(()))

        def loss(self, batch):
            return (self.factor * batch[0]).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    with pytest.warns(UserWarning, match="no layer with weights"):
        fit(tmp_path, [GradientFlow(on_error="raise")], model=Scale(), data=data())
    assert image_steps(tmp_path) == {}


def test_steps_with_and_without_a_layer_add_up(tmp_path):
    class Unfreeze(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            pl_module.conv.requires_grad_(batch_idx >= 2)

    model = Plain()
    model.conv.requires_grad_(False)
    reference = Reference(1)
    fit(tmp_path, [Unfreeze(), reference, GradientFlow(on_error="raise")], model=model, data=data(), max_epochs=1)
    # `Reference` follows the layers that train: all six steps of fc, the last four of conv
    for name, first in (("fc", 0), ("conv", 2)):
        norms = [np.sqrt((mean[name] ** 2).sum()) for mean, _ in reference.steps[first:]]
        assert scalars(tmp_path, f"gradient_flow/{name}/norm")[0][1] == pytest.approx(np.mean(norms), rel=1e-4)


def test_a_complex_layer_has_the_norm_of_its_magnitudes_and_leaves_the_others_as_they_are(tmp_path):
    class Fourier(TinyNet):
        def __init__(self):
            super().__init__()
            self.fourier = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.complex64)
            self.norms = {"fourier": [], "fc2": []}

        def forward(self, x):
            return super().forward(self.fourier(torch.fft.fft2(x)).abs().log1p().sum(1, keepdim=True))

        def on_before_optimizer_step(self, optimizer):
            for name, norms in self.norms.items():
                gradient = self.get_submodule(name).weight.grad
                norms.append(float(gradient.to(torch.complex128).abs().square().sum().sqrt()))

    run = fit(tmp_path, [GradientFlow(on_error="raise")], model=Fourier, max_epochs=1)
    for name, norms in run.lightning_module.norms.items():
        assert scalars(tmp_path, f"gradient_flow/{name}/norm")[-1][1] == pytest.approx(np.mean(norms), rel=1e-4)


@pytest.mark.parametrize("private", [True, False])
def test_gradients_that_are_clipped_per_sample_are_shown_before_and_the_title_says_so(private, tmp_path):
    class Private(Plain):
        """Stores gradients of each sample where Opacus stores them, and clips these as the optimizer steps."""

        def on_before_backward(self, loss):
            for weight in self.parameters() if private else ():
                weight.grad_sample = torch.stack([torch.ones_like(weight)])

        def configure_gradient_clipping(self, optimizer, *_, **__):
            self.true = float(self.conv.weight.grad.norm())
            for weight in self.parameters() if private else ():
                weight.grad = weight.grad_sample.mean(0)

    class Titles(GradientFlow):
        def drawings(self, trainer, module):
            for tag, draw in super().drawings(trainer, module):
                self.title_drawn = draw.keywords["title"]
                yield tag, draw

    visual = Titles(every_n_train_steps=1)
    run = fit(tmp_path, [visual], model=Private, data=(DataLoader(TinyData(8), 8), None), max_epochs=1)
    assert visual.title_drawn.endswith("before clipping per sample and noise") == private
    ((_, norm),) = scalars(tmp_path, "gradient_flow/conv/norm")
    assert norm == pytest.approx(run.lightning_module.true, rel=1e-4)


class LayerDrop(pl.LightningModule):
    """Leaves blocks out at random, and has two heads that take turns; measures every step itself."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(64, 64) for _ in range(6))
        self.heads = nn.ModuleList(nn.Linear(64, 4) for _ in range(2))
        self.norms, self.ratios = {}, {}

    def training_step(self, batch, batch_idx):
        x = batch[0].flatten(1)
        for block in self.blocks:
            if torch.rand(()) > 0.3:
                x = x + 0.1 * F.relu(block(x))
        losses = [F.cross_entropy(head(x), batch[1]) for head in self.heads]
        return losses[0] * (batch_idx % 2) + losses[1] * (1 - batch_idx % 2)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def on_before_optimizer_step(self, optimizer):
        layers = {name: layer for name, layer in self.named_modules() if isinstance(layer, nn.Linear)}
        self.before = {
            name: layer.weight.detach().double() for name, layer in layers.items() if layer.weight.grad is not None
        }
        for name in self.before:
            self.norms.setdefault(name, []).append(float(layers[name].weight.grad.double().norm()))

    def on_train_batch_end(self, *_):
        for name, before in self.before.items():
            change = self.get_submodule(name).weight.detach().double() - before
            self.ratios.setdefault(name, []).append(float(change.norm() / before.norm()))


def test_layers_that_are_dropped_at_random_have_the_statistics_of_their_own_steps(tmp_path):
    loader = DataLoader(TinyData(240), 4, shuffle=True)
    run = fit(tmp_path, [GradientFlow(on_error="raise")], model=LayerDrop, data=(loader, None), max_epochs=1)
    module = run.lightning_module
    assert len(module.norms) == 8
    assert min(map(len, module.norms.values())) < run.global_step == 60
    for name, norms in module.norms.items():
        assert scalars(tmp_path, f"gradient_flow/{name}/norm")[-1][1] == pytest.approx(np.mean(norms), rel=1e-5)
        # looked at in pairs of the layer's own steps, an eighth of them
        looks = [step for step in range(len(norms)) if step // 2 * (1 + 5**0.5) / 2 % 1 < 1 / 8]
        expected = np.mean([module.ratios[name][step] for step in looks])
        assert scalars(tmp_path, f"gradient_flow/{name}/update_ratio")[-1][1] == pytest.approx(expected, rel=1e-3)


def test_of_a_run_that_is_resumed_the_heat_map_begins_where_the_first_one_did(tmp_path):
    first, second = GradientFlow(), GradientFlow(tag="late")
    run = fit(tmp_path / "a", [first])
    run.save_checkpoint(tmp_path / "last.ckpt")
    pl.seed_everything(7)
    later = GradientFlow()
    again = trainer(tmp_path / "b", [later, second], max_epochs=3)
    again.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert [step for step, _ in later._history.columns] == [6, 12, 18]
    assert (later._history.start, second._history.start) == (0, 12), (
        "one that the first run did not have begins with its own first step"
    )
