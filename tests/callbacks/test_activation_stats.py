"""Statistics in the event file are those of NumPy over what the user's own passes computed."""

import io
import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, scalars, trainer
from PIL import Image
from test_tab_data import records
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_cnnviz import ActivationStats, EmbeddingProjection
from lightning_cnnviz.functional.activations.activation_stats import activation_heat_map


class Listening(pl.Callback):
    """Keeps what layers return in validation or training, batch by batch, in double precision."""

    def __init__(self, *layers, split="validation"):
        self.layers, self.split, self.batches = layers, split, []

    def _start(self, pl_module):
        self.batches.append({name: [] for name in self.layers})
        self.handles = []
        for name in self.layers:
            part = pl_module.get_submodule(name.removesuffix(".input"))
            if name.endswith(".input"):
                hook = part.register_forward_pre_hook(
                    lambda _, given, name=name: self.batches[-1][name].append(given[0].detach().double().clone())
                )
            else:
                hook = part.register_forward_hook(
                    lambda _, __, result, name=name: self.batches[-1][name].append(result.detach().double().clone())
                )
            self.handles.append(hook)

    def _stop(self):
        for handle in self.handles:
            handle.remove()

    def on_validation_batch_start(self, trainer, pl_module, *_):
        if self.split == "validation" and not trainer.sanity_checking:
            self._start(pl_module)

    def on_validation_batch_end(self, trainer, *_):
        if self.split == "validation" and not trainer.sanity_checking:
            self._stop()

    def on_train_batch_start(self, trainer, pl_module, *_):
        if self.split == "training":
            self._start(pl_module)

    def on_train_batch_end(self, *_):
        if self.split == "training":
            self._stop()

    def values(self, layer, batches=slice(None)):
        return torch.cat([part.flatten() for batch in self.batches[batches] for part in batch[layer]]).numpy()

    def highest(self, layer, channels, batches=slice(None)):
        """The largest value of each unit."""
        parts = [part.movedim(channels, -1).flatten(0, -2) for batch in self.batches[batches] for part in batch[layer]]
        return torch.cat(parts).amax(0).numpy()


class Conv(TinyNet):
    """With a rectifier of every kind of input: after a normalisation, after a sum, after a linear layer."""

    def __init__(self):
        super().__init__()
        self.relu2, self.relu3 = nn.ReLU(), nn.ReLU6()
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        x = self.relu(self.norm(self.conv1(x)))
        x = F.relu(self.conv2(x))
        x = self.pool(self.relu2(self.conv3(x) + x)).flatten(1)
        return self.fc2(self.drop(self.act(self.relu3(self.fc1(x)))))


class Block(TinyNet):
    """Attention and two linear layers over tokens, the rows of the picture."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.relu, self.down, self.head = nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 8), nn.Linear(8, 4)
        self.gate = nn.Sigmoid()
        del self.conv1, self.conv2, self.norm, self.pool, self.fc1, self.act, self.drop, self.fc2

    def forward(self, x):
        x = x[:, 0]
        known = self.norm1(x)
        x = x + self.attention(known, known, known, need_weights=False)[0]
        x = x + self.down(self.relu(self.up(self.norm2(x))))
        return self.head(self.gate(x).mean(1))


class Linear(TinyNet):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
        del self.conv1, self.conv2, self.norm, self.relu, self.pool, self.fc1, self.act, self.drop, self.fc2

    def forward(self, x):
        return self.net(x)


def logged(folder, layer, statistic):
    return dict(scalars(folder, f"activations/{layer}/{statistic}"))


NETS = {
    "convolutions": (
        Conv,
        {"relu": 1, "relu2": 1, "relu3": 1},
        ["conv1", "conv2", "conv3", "fc1", "act", "fc2"],
        "fc2",
    ),
    "tokens": (Block, {"relu": 2}, ["up", "down", "head", "gate"], "head"),
    "linear": (Linear, {"net.2": 1}, ["net.1", "net.3"], "net.3"),
}


@pytest.mark.parametrize("net", NETS)
def test_numbers_are_those_of_numpy_over_the_users_own_validation(net, tmp_path):
    model, rectifiers, others, head = NETS[net]
    listening = Listening(*rectifiers, *others, f"{head}.input")
    fit(tmp_path, [listening, ActivationStats(on_error="raise")], model=model)
    per_epoch = len(listening.batches) // 2
    tags = events(tmp_path).Tags()
    assert {tag.split("/")[1] for tag in tags["histograms"]} == {*rectifiers, *others}
    for name in (*rectifiers, *others):
        for epoch, step in enumerate((6, 12)):
            values = listening.values(name, slice(epoch * per_epoch, (epoch + 1) * per_epoch))
            assert logged(tmp_path, name, "mean")[step] == pytest.approx(values.mean(), rel=1e-5, abs=1e-6)
            assert logged(tmp_path, name, "std")[step] == pytest.approx(values.std(), rel=1e-4)
            histogram = events(tmp_path).Histograms(f"activations/{name}")[epoch]
            assert histogram.step == step
            shown = histogram.histogram_value
            assert (shown.min, shown.max, shown.num) == (values.min(), values.max(), values.size)
            assert shown.sum == pytest.approx(values.sum(), rel=1e-4, abs=1e-3)
            assert shown.sum_squares == pytest.approx((values**2).sum(), rel=1e-4)
            edges = [shown.min, *shown.bucket_limit]
            counts, _ = np.histogram(values, np.array(edges))
            assert np.abs(np.array(shown.bucket) - counts).sum() <= 6  # a value at an edge may be in either bin
    for name, channels in rectifiers.items():
        for epoch, step in enumerate((6, 12)):
            highest = listening.highest(name, channels, slice(epoch * per_epoch, (epoch + 1) * per_epoch))
            assert logged(tmp_path, name, "dead")[step] == pytest.approx((highest <= 0).mean())
    assert {tag.split("/")[1] for tag in tags["scalars"] if tag.endswith("/dead")} == set(rectifiers)
    for epoch, step in enumerate((6, 12)):
        embedding = listening.values(f"{head}.input", slice(epoch * per_epoch, (epoch + 1) * per_epoch)).reshape(
            40, -1
        )
        shares = np.linalg.svd(embedding, compute_uv=False)
        shares = shares[shares > 1e-12] / shares.sum()
        expected = np.exp(-(shares * np.log(shares)).sum())
        assert dict(scalars(tmp_path, "activations/effective_rank"))[step] == pytest.approx(expected, rel=1e-4)


def test_killed_units_are_counted_exactly(tmp_path):
    class Killed(Conv):
        def on_validation_start(self):
            with torch.no_grad():
                self.norm.bias[1], self.norm.weight[1] = -1e3, 0
                self.fc1.bias[[2, 3, 11]] = -1e3

    fit(tmp_path, [ActivationStats(layers=["relu", "relu3", "fc1"], on_error="raise")], model=Killed, max_epochs=1)
    assert logged(tmp_path, "relu", "dead") == {6: 0.25}
    dead = logged(tmp_path, "relu3", "dead")[6] * 16
    assert dead == pytest.approx(round(dead))
    assert dead >= 3
    assert "activations/fc1/dead" not in events(tmp_path).Tags()["scalars"]
    ((_, header, _),) = records(tmp_path, "activations/relu")
    assert (header["dead"], header["units"], header["samples"], header["split"]) == (0.25, 4, 40, "validation")
    assert header["saturated"] is None


def test_saturated_values_are_counted(tmp_path):
    class Saturated(TinyNet):
        def on_validation_start(self):
            with torch.no_grad():
                self.fc1.weight.mul_(0)
                self.fc1.bias.copy_(torch.tensor([5.0, -5.0, 0.5, 0.0] * 4))

    fit(tmp_path, [ActivationStats(layers=["act", "relu"], on_error="raise")], model=Saturated, max_epochs=1)
    assert logged(tmp_path, "act", "saturated") == {6: 0.5}
    assert "activations/relu/saturated" not in events(tmp_path).Tags()["scalars"]
    assert "activations/act/dead" not in events(tmp_path).Tags()["scalars"]


def test_a_rectifier_whose_channels_are_uncertain_has_a_distribution_and_no_share_of_dead_units(tmp_path):
    class Turned(TinyNet):
        def forward(self, x):
            x = self.relu(self.norm(self.conv1(x)).transpose(1, 2)).transpose(1, 2)
            return self.fc2(self.pool(self.conv2(x)).flatten(1) @ torch.ones(72, 16))

    fit(tmp_path, [ActivationStats(layers="relu", on_error="raise")], model=Turned, max_epochs=1)
    tags = {tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("activations/relu/")}
    assert tags == {"activations/relu/mean", "activations/relu/std"}
    assert events(tmp_path).Histograms("activations/relu")


# ---- the window


@pytest.mark.parametrize(("num_samples", "batches"), [(1, 1), (8, 1), (9, 2), (1000, 5)])
def test_the_window_is_the_first_samples_of_each_validation_in_whole_batches(num_samples, batches, tmp_path):
    listening = Listening("fc1")
    fit(tmp_path, [listening, ActivationStats(num_samples=num_samples, on_error="raise")])
    for epoch, step in enumerate((6, 12)):
        values = listening.values("fc1", slice(5 * epoch, 5 * epoch + batches))
        assert logged(tmp_path, "fc1", "mean")[step] == pytest.approx(values.mean(), rel=1e-5)
    assert [header["samples"] for _, header, _ in records(tmp_path, "activations/fc1")] == [8 * batches] * 2


def test_where_nothing_learns_all_epochs_have_the_same_numbers(tmp_path):
    class Still(TinyNet):
        def __init__(self):
            super().__init__(learning_rate=0.0)
            self.norm.momentum = 0.0

    fit(tmp_path, [ActivationStats(on_error="raise")], model=Still, max_epochs=3)
    for tag in events(tmp_path).Tags()["scalars"]:
        if tag.startswith("activations/"):
            assert len({value for _, value in scalars(tmp_path, tag)}) == 1, tag


@pytest.mark.parametrize(
    ("options", "given", "windows"),
    [
        ({"every_n_train_steps": 3}, {}, {3: (0, 3), 6: (3, 6), 9: (6, 9), 12: (9, 12)}),
        ({"every_n_train_steps": 4, "num_samples": 16}, {}, {4: (2, 4), 8: (6, 8), 12: (10, 12)}),
        ({"every_n_train_steps": 5, "num_samples": 9}, {}, {5: (3, 5), 10: (8, 10), 12: (10, 12)}),
        ({"num_samples": 20}, {"limit_val_batches": 0}, {6: (3, 6), 12: (9, 12)}),
        (
            {"num_samples": 8, "every_n_epochs": 2},
            {"limit_val_batches": 0, "max_epochs": 3},
            {12: (11, 12), 18: (17, 18)},
        ),
        ({"every_n_train_steps": 2, "num_samples": 9}, {"accumulate_grad_batches": 3}, {2: (4, 6), 4: (10, 12)}),
        (
            {"every_n_train_steps": 4, "num_samples": 8},
            {"max_steps": 10, "max_epochs": -1},
            {4: (3, 4), 8: (7, 8), 10: (9, 10)},
        ),
    ],
    ids=str,
)
def test_otherwise_it_is_the_last_training_samples_before_the_picture(options, given, windows, tmp_path):
    listening = Listening("fc1", split="training")
    fit(tmp_path, [listening, ActivationStats(**options, on_error="raise")], **given)
    assert set(logged(tmp_path, "fc1", "mean")) == set(windows)
    for step, (first, last) in windows.items():
        values = listening.values("fc1", slice(first, last))
        assert logged(tmp_path, "fc1", "mean")[step] == pytest.approx(values.mean(), rel=1e-5), step
    (*_, (_, header, _)) = records(tmp_path, "activations/fc1")
    assert header["split"] == "training"


def test_manual_optimization_has_its_windows_too(tmp_path):
    class Manual(TinyNet):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            for _ in range(2):
                optimizer.zero_grad()
                self.manual_backward(F.cross_entropy(self(batch[0]), batch[1]))
                optimizer.step()

    listening = Listening("fc1", split="training")
    fit(tmp_path, [listening, ActivationStats(every_n_train_steps=3, num_samples=8, on_error="raise")], model=Manual)
    for step in (3, 6, 9, 12):
        values = listening.values("fc1", slice(step - 1, step))
        assert values.size == 2 * 8 * 16  # both passes of the batch
        assert logged(tmp_path, "fc1", "mean")[step] == pytest.approx(values.mean(), rel=1e-5)


def test_checkpointed_layers_count_once(tmp_path):
    class Checkpointed(TinyNet):
        def training_step(self, batch, batch_idx):
            x = torch.utils.checkpoint.checkpoint(self.conv1, batch[0].requires_grad_(), use_reentrant=False)
            x = self.pool(F.relu(self.conv2(self.relu(self.norm(x))))).flatten(1)
            return F.cross_entropy(self.fc2(self.act(self.fc1(x))), batch[1])

    fit(tmp_path, [ActivationStats(every_n_train_steps=6, num_samples=8, on_error="raise")], model=Checkpointed)
    for _, header, _ in records(tmp_path, "activations/conv1"):
        assert header["number"] == 8 * 4 * 8 * 8


def test_a_second_validation_loader_is_not_in_the_window(tmp_path):
    class Two(TinyNet):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self(batch[0])

    train, val = loaders()
    fit(tmp_path, [ActivationStats(on_error="raise")], model=Two, data=(train, [val, val]), max_epochs=1)
    ((_, header, _),) = records(tmp_path, "activations/fc1")
    assert (header["samples"], header["number"]) == (40, 40 * 16)


@pytest.mark.parametrize(
    ("options", "last"),
    [({"check_val_every_n_epoch": None, "val_check_interval": 5}, 10), ({"val_check_interval": 4}, 10)],
    ids=str,
)
def test_where_no_validation_ends_with_an_epoch_the_last_one_is_drawn_at_its_step(options, last, tmp_path):
    fit(tmp_path, [ActivationStats(on_error="raise")], **options)
    assert image_steps(tmp_path) == {"activations/heatmap": [last]}
    assert [step for step, *_ in records(tmp_path, "activations/fc1")] == [last]


def test_where_no_validation_ends_one_line_says_so(tmp_path, told):
    fit(tmp_path, [ActivationStats(on_error="raise")], max_steps=4, max_epochs=-1)
    assert image_steps(tmp_path) == {}
    assert told().count("ActivationStats: no validation was heard before the training ended") == 1


def test_data_of_unknown_length_without_validation_need_an_interval_in_steps(tmp_path, told):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(TinyData(48))

    for name, options in (("epochs", {}), ("steps", {"every_n_train_steps": 3})):
        stream = DataLoader(Stream(), 8)
        fit(tmp_path / name, [ActivationStats(**options, on_error="raise")], data=(stream, None), limit_val_batches=0)
    assert told().count("ActivationStats: an epoch's end is not foreseen, so nothing is drawn") == 1
    assert image_steps(tmp_path / "epochs") == {}
    assert image_steps(tmp_path / "steps") == {"activations/heatmap": [3, 6, 9, 12]}


# ---- the picture


def picture(folder, place=-1):
    image = events(folder).Images("activations/heatmap")[place]
    return np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))


def test_the_heat_map_has_layers_in_the_order_in_which_they_ran_and_says_what_it_is_of(tmp_path):
    class Reverse(TinyNet):
        def __init__(self):
            super().__init__()
            self.first, self.conv1 = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 4, 3, padding=1)
            self.pool = nn.Sequential(nn.MaxPool2d(2), nn.ReLU())

        def forward(self, x):
            return super().forward(self.first(x))

    callback = ActivationStats(layers=["first", "conv1", "fc*"], on_error="raise")
    fit(tmp_path, [callback], model=Reverse)
    names = ["first", "conv1", "fc1", "fc2"]
    deviations = np.array([[logged(tmp_path, name, "std")[step] for step in (6, 12)] for name in names])
    title = "activations · epoch 2 · step 12 · 40 validation samples"
    np.testing.assert_array_equal(picture(tmp_path), activation_heat_map(names, [6, 12], deviations, title=title))


def test_the_heat_map_goes_on_after_a_resume(tmp_path):
    first = ActivationStats()
    run = fit(tmp_path / "a", [first])
    run.save_checkpoint(tmp_path / "last.ckpt")
    second = ActivationStats(on_error="raise")
    again = trainer(tmp_path / "b", [second], max_epochs=3)
    again.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert second._history.steps == [6, 12, 18]
    assert image_steps(tmp_path / "b") == {"activations/heatmap": [18]}


def test_what_is_not_finite_is_said_once_and_in_the_picture(tmp_path):
    class Broken(TinyNet):
        def on_validation_start(self):
            if not self.trainer.sanity_checking:
                self.fc1.bias.data[0] = math.nan

        def on_validation_end(self):
            self.fc1.bias.data[0] = 0

    with pytest.warns(
        UserWarning, match=r"NaN or infinite values up to step 6: fc1 \(40\), act \(40\), fc2 \(160\)"
    ) as caught:
        fit(tmp_path, [ActivationStats(layers=["fc*", "act", "conv1"])], model=Broken)
    assert sum("ActivationStats" in str(one.message) for one in caught) == 1
    assert set(logged(tmp_path, "conv1", "mean")) == {6, 12}
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("activations/fc2/")]
    assert logged(tmp_path, "fc1", "std")[6] >= 0
    (header, _) = [header for _, header, _ in records(tmp_path, "activations/fc1")]
    assert (header["non_finite"], header["number"]) == (40, 600)
    assert "activations/effective_rank" not in events(tmp_path).Tags()["scalars"]


# ---- which layers


def test_by_default_there_are_activations_convolutions_and_linear_layers(tmp_path, told):
    callback = ActivationStats(on_error="raise")
    fit(tmp_path, [callback], max_epochs=1)
    assert list(callback.selected) == ["conv1", "relu", "conv2", "fc1", "act", "fc2"]
    few = ActivationStats(max_layers=3, on_error="raise")
    fit(tmp_path / "few", [few], max_epochs=1)
    assert list(few.selected) == ["conv1", "fc1", "fc2"] or len(few.selected) == 3
    assert "3 of 6 activations, convolutions and linear layers are drawn" in told()


def test_layers_that_do_not_run_are_said(tmp_path, told):
    class Spare(TinyNet):
        def __init__(self):
            super().__init__()
            self.spare = nn.Linear(3, 3)

    fit(tmp_path, [ActivationStats(on_error="raise")], model=Spare)
    assert (
        told().count("ActivationStats: spare did not run or returned no tensor of floating-point values; skipped") == 1
    )
    with pytest.warns(UserWarning, match="spare did not run"):
        fit(tmp_path / "asked", [ActivationStats(layers=["spare", "conv1"])], model=Spare)
    assert "activations/conv1/mean" in events(tmp_path / "asked").Tags()["scalars"]


def test_layers_of_a_fused_transformer_are_refused_with_those_there_are(tmp_path):
    class Fused(TinyNet):
        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x):
            return super().forward(self.encoder(x[:, 0])[:, None])

    with pytest.raises(ValueError, match=r"but no layer that can be heard \(not one in compiled code or"):
        fit(tmp_path, [ActivationStats(layers="encoder.linear1")], model=Fused)
    shown = []
    for name, callbacks in (("bare", []), ("ours", [ActivationStats(on_error="raise")])):
        run = fit(tmp_path / name, callbacks, model=Fused)
        shown.append((run.callback_metrics["val_loss"].item(), run.lightning_module.state_dict()["fc2.weight"]))
    assert shown[0][0] == shown[1][0]
    assert torch.equal(shown[0][1], shown[1][1])
    assert "activations/conv1/mean" in events(tmp_path / "ours").Tags()["scalars"]


def test_names_that_would_take_another_tag_get_one_of_their_own(tmp_path):
    class Points(TinyNet):
        def __init__(self):
            super().__init__()
            self.heatmap = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return super().forward(self.heatmap(x))

    fit(tmp_path, [ActivationStats(on_error="raise")], model=Points, max_epochs=1)
    tags = events(tmp_path).Tags()
    assert "activations/heatmap" in tags["images"]
    assert "activations/heatmap.output" in tags["histograms"]
    assert "activations/heatmap" not in tags["histograms"]


def test_the_embedding_is_the_one_that_is_projected(tmp_path):
    callback = EmbeddingProjection(method="pca", num_samples=40, on_error="raise")
    listening = Listening("fc2.input")
    run = fit(tmp_path, [listening, callback, ActivationStats(on_error="raise")], max_epochs=1)
    _, seen = callback.activations(run, run.lightning_module.eval(), callback.selected, 40)
    (name,) = callback.selected
    projected = seen.layers[name].double().numpy()
    heard = torch.cat([batch["fc2.input"][0] for batch in listening.batches]).numpy()
    ours = dict(scalars(tmp_path, "activations/effective_rank"))[6]
    for values in (heard, projected):
        shares = np.linalg.svd(values, compute_uv=False)
        shares = shares[shares > 1e-12] / shares.sum()
        assert ours == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-3)


@pytest.mark.parametrize("options", [{"max_layers": 0}, {"num_samples": 0}])
def test_impossible_numbers(options):
    with pytest.raises(ValueError, match="to be at least 1, got 0"):
        ActivationStats(**options)


def test_a_failure_while_hearing_costs_one_window_and_no_wrong_number(tmp_path, monkeypatch):
    from lightning_cnnviz.statistics import activation_window

    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 9:  # in the second batch of the first epoch
            raise MemoryError("no room")
        return sums(*arguments)

    sums = activation_window.value_sums
    monkeypatch.setattr(activation_window, "value_sums", fail)
    listening = Listening("fc1")
    with pytest.warns(UserWarning, match="ActivationStats failed to draw; training continues: MemoryError: no room"):
        fit(tmp_path, [listening, ActivationStats()])
    assert logged(tmp_path, "fc1", "mean") == {
        12: pytest.approx(listening.values("fc1", slice(5, 10)).mean(), rel=1e-5)
    }
