"""The gradient maps in the event file are those of the training's own batches, beside autograd by hand in float64."""

import copy

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.stateful import hooks
from helpers.tab_records import records
from helpers.tiny import TinyData, fit, image_steps
from helpers.untouched import differing, maps
from pytorch_lightning.plugins import MixedPrecision
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import FeatureMaps, Probe
from lightning_cnnviz.functional.tab.stored_maps import MAX_STEP_BYTES

BATCH, BATCHES, SHOWN = 8, 6, 4
CONVOLUTIONS, LINEAR = ("conv1", "conv2"), ("fc", "head")


class Net(pl.LightningModule):
    """With a ReLU that overwrites what the first convolution returned; nothing in it is random."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3)
        self.fc, self.head = nn.Linear(180, 12), nn.Linear(12, 4)

    def layers(self, x):
        """What each layer returns, nothing overwritten."""
        found = {"conv1": self.conv1(x)}
        found["conv2"] = self.conv2(found["conv1"].relu())
        found["fc"] = self.fc(found["conv2"].relu().flatten(1))
        found["head"] = self.head(torch.tanh(found["fc"]))
        return found

    def forward(self, x):
        maps = torch.relu(self.conv2(self.relu(self.conv1(x))))
        return self.head(torch.tanh(self.fc(maps.flatten(1))))

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ByHand(pl.Callback):
    """Keeps the batch and the weights of before each step; activations and gradients are worked out when asked for."""

    def __init__(self):
        self.steps = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        net = Net()
        net.load_state_dict(pl_module.state_dict())
        self.steps.append((net, *(part.clone() for part in batch)))

    def at(self, batch, share=1.0, samples=SHOWN, cast=lambda part: part.double()):
        """Layer → activations and gradients of batch number `batch`, from 1, of a share of its loss; and its batch."""
        net, x, y = self.steps[batch - 1]
        found = cast(net).layers(cast(x))
        gradients = torch.autograd.grad(share * F.cross_entropy(found["head"], y), list(found.values()))
        pairs = zip(found.values(), gradients, strict=True)
        return {
            name: tuple(part.detach()[:samples].double().numpy() for part in pair)
            for name, pair in zip(found, pairs, strict=True)
        }, (x, y)


def data(size=BATCH * BATCHES):
    return DataLoader(TinyData(size), BATCH, shuffle=True), DataLoader(TinyData(16, seed=1), 8)


def decoded(arrays):
    low, high = (arrays[name][..., None, None].astype(np.float64) for name in ("low", "high"))
    activations = low + (high - low) * arrays["values"] / 255
    low, high = (arrays[f"gradient_{name}"][..., None, None].astype(np.float64) for name in ("low", "high"))
    largest = np.maximum(-low, high)
    return activations, (arrays["gradients"].astype(np.float64) - 128) / 127 * largest, largest


def check(record, expected, name, rel=1e-4):
    """Whether a record shows the activations and gradients, to half a step of its bytes."""
    _, header, arrays = record
    activations, gradients, largest = decoded(arrays)
    right, slope = (part.reshape(activations.shape) for part in expected[name])
    step = np.ptp(right, axis=(2, 3), keepdims=True) / 255
    assert (np.abs(activations - right) <= 0.51 * step + rel * np.abs(right).max()).all(), name
    assert (np.abs(gradients - slope) <= 0.51 * largest / 127 + rel * np.abs(slope).max()).all(), name
    assert np.abs(slope).max() > 0
    assert header["layer"] == name


def shown(folder, name):
    return records(folder, f"gradient_maps/{name}")


def tapping(**options):
    return FeatureMaps(num_images=SHOWN, on_error="raise", **options)


def train(folder, model=Net, callback=None, loaders=None, **options):
    by_hand = ByHand()
    fit(folder, [by_hand, callback or tapping()], model=model, data=loaders or data(), **options)
    return by_hand


# ---- true values


def test_gradient_maps_are_those_of_the_last_batch_of_each_epoch(tmp_path):
    by_hand = train(tmp_path, max_epochs=3)
    for name in (*CONVOLUTIONS, *LINEAR):
        found = shown(tmp_path, name)
        assert [step for step, *_ in found] == [6, 12, 18]
        for record in found:
            expected, (x, y) = by_hand.at(record[0])
            check(record, expected, name)
            _, header, arrays = record
            assert arrays["targets"].tolist() == y[:SHOWN].tolist()
            assert header["predicted"] == expected["head"][0].argmax(1).tolist()
            thumbnails = np.round(255 * np.clip(x[:SHOWN, 0].numpy() / max(1, float(x.max())), 0, 1))
            assert np.corrcoef(arrays["thumbnails"][..., 0].ravel(), thumbnails.ravel())[0, 1] > 0.99
    dead = by_hand.at(18)[0]["conv1"][1] == 0
    _, gradients, _ = decoded(shown(tmp_path, "conv1")[-1][2])
    assert dead.any()
    assert (gradients[dead] == 0).all()  # what the in-place ReLU lets nothing through for, exactly


def test_gradient_maps_of_steps_are_those_of_the_batch_that_led_to_each(tmp_path):
    by_hand = train(tmp_path, callback=tapping(every_n_train_steps=4), max_epochs=2)
    found = shown(tmp_path, "conv2")
    assert [step for step, *_ in found] == [4, 8, 12]
    for record in found:
        check(record, by_hand.at(record[0])[0], "conv2")


@pytest.mark.parametrize("options", [{"every_n_train_steps": 2}, {}], ids=["steps", "epochs"])
def test_of_accumulated_batches_the_last_one_counts_with_its_share_of_the_loss(options, tmp_path):
    by_hand = train(tmp_path, callback=tapping(**options), accumulate_grad_batches=4, max_epochs=2)
    found = shown(tmp_path, "conv1")  # steps after batches 4, 6, 10 and 12
    assert [step for step, *_ in found] == [2, 4]
    for record, batch in zip(found, (6, 12), strict=True):
        check(record, by_hand.at(batch, share=1 / 4)[0], "conv1")


def test_the_last_state_has_gradient_maps_whatever_the_interval(tmp_path):
    by_hand = train(tmp_path / "epochs", callback=tapping(every_n_epochs=5), max_epochs=2)
    ((step, *_),) = found = shown(tmp_path / "epochs", "fc")
    assert step == 12
    check(found[0], by_hand.at(12)[0], "fc")
    by_hand = train(tmp_path / "steps", max_epochs=-1, max_steps=8)
    assert [step for step, *_ in shown(tmp_path / "steps", "fc")] == [6, 8]
    check(shown(tmp_path / "steps", "fc")[-1], by_hand.at(8)[0], "fc")


class Bfloat16(Net):
    """Runs by hand as autocast does."""

    def layers(self, x):
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            return super().layers(x)


def test_bf16_is_as_exact_as_the_training_itself(tmp_path):
    by_hand = train(tmp_path, precision="bf16-mixed", max_epochs=1)
    net, x, y = by_hand.steps[-1]
    rounded = Bfloat16()
    rounded.load_state_dict(net.state_dict())
    by_hand.steps[-1] = rounded, x, y
    same, _ = by_hand.at(6, cast=lambda part: part.float())
    by_hand.steps[-1] = net, x, y
    for name in (*CONVOLUTIONS, *LINEAR):
        check(shown(tmp_path, name)[0], same, name, rel=1e-2)
        _, gradients, _ = decoded(shown(tmp_path, name)[0][2])
        exact = by_hand.at(6)[0][name][1].reshape(
            gradients.shape
        )  # some units are on the other side of the ReLU there
        assert np.linalg.norm(gradients - exact) < 0.1 * np.linalg.norm(exact)


def test_a_scaled_loss_has_its_gradients_unscaled(tmp_path):
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))
    by_hand = train(tmp_path, plugins=plugin, max_epochs=1)
    for name in (*CONVOLUTIONS, *LINEAR):
        check(shown(tmp_path, name)[0], by_hand.at(6)[0], name, rel=0.02)


class Manual(Net):
    def __init__(self, raw=False, twice=False):
        super().__init__()
        self.automatic_optimization, self.raw, self.twice = False, raw, twice

    def training_step(self, batch, batch_idx):
        optimizer, loss = self.optimizers(), super().training_step(batch, batch_idx)
        optimizer.zero_grad()
        for _ in range(1 + self.twice):
            if self.raw:
                loss.backward()
            else:
                self.manual_backward(loss, retain_graph=self.twice)
        optimizer.step()


def test_manual_optimization_is_heard_where_lightning_is_told_of_the_loss(tmp_path):
    by_hand = train(tmp_path / "told", Manual)
    assert [step for step, *_ in shown(tmp_path / "told", "conv1")] == [6, 12]
    check(shown(tmp_path / "told", "conv1")[-1], by_hand.at(12)[0], "conv1")
    for name, model in (("raw", Manual(raw=True)), ("twice", Manual(twice=True))):
        train(tmp_path / name, model)
        assert records(tmp_path / name, "feature_maps/conv1")
        assert shown(tmp_path / name, "conv1") == []


# ---- which batches, layers and samples


class Stream(IterableDataset):
    def __iter__(self):
        yield from (TinyData(20)[index] for index in range(20))


def test_the_last_batch_of_a_stream_without_a_length_is_known_and_may_be_short(tmp_path):
    by_hand = train(tmp_path, callback=tapping(), loaders=(DataLoader(Stream(), 9), data()[1]), max_epochs=1)
    ((step, header, arrays),) = found = shown(tmp_path, "conv1")
    assert (step, header["samples"], len(arrays["targets"])) == (3, [0, 1], 2)  # of 9, 9 and 2
    check(found[0], by_hand.at(3)[0], "conv1")


def test_a_batch_without_a_loss_and_a_layer_without_a_gradient_have_no_maps(tmp_path):
    class Skipping(Net):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            return None if batch_idx == BATCHES - 1 and self.current_epoch == 0 else loss

        def on_train_epoch_start(self):
            self.conv1.requires_grad_(False)

    train(tmp_path, Skipping)
    assert [step for step, *_ in shown(tmp_path, "conv2")] == [12]
    assert [step for step, *_ in records(tmp_path, "feature_maps/conv2")] == [6, 12]
    assert shown(tmp_path, "conv1") == []


def test_layers_are_those_of_the_feature_maps(tmp_path):
    train(tmp_path, callback=tapping(layers=["conv2", "fc.input"], max_channels=3), max_epochs=1)
    assert shown(tmp_path, "conv1") == shown(tmp_path, "fc") == []
    ((_, _, arrays),) = shown(tmp_path, "conv2")
    assert arrays["gradients"].shape == (SHOWN, 3, 6, 6)
    ((_, _, arrays),) = shown(tmp_path, "fc.input")
    assert arrays["gradients"].shape == (SHOWN, 3, 1, 1)


def test_large_maps_are_small_before_they_wait_to_be_drawn(tmp_path):
    class Wide(Net):
        def __init__(self):
            super().__init__()
            self.wide, self.conv0 = nn.Upsample(scale_factor=24), nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return super().forward(F.avg_pool2d(self.conv0(self.wide(x)), 24))

    callback = tapping(layers="conv0")
    kept = []
    callback.gradient_drawings = lambda *_: kept.append(callback._tapped) or ()
    fit(tmp_path, [callback], model=Wide, data=data(), max_epochs=1)
    assert [part.shape for part in kept[0].heard.layers["conv0"]] == [(SHOWN, 1, 64, 64)] * 2


def test_of_many_layers_each_has_smaller_maps_so_that_a_step_takes_no_more_room(tmp_path):
    class Deep(Net):
        def __init__(self):
            super().__init__()
            self.deep = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(1, 32, 1))
            self.deep.extend(nn.Conv2d(32, 32, 1) for _ in range(22))

        def forward(self, x):
            return super().forward(F.avg_pool2d(self.deep(x)[:, :1], 4))

    fit(tmp_path, [tapping()], model=Deep, data=data(BATCH), max_epochs=1)
    layers = [f"deep.{number}" for number in range(1, 24)]
    drawn = [arrays for name in layers for _, _, arrays in shown(tmp_path, name)]
    taken = sum(arrays[name].nbytes for arrays in drawn for name in ("values", "gradients"))
    assert len(drawn) >= 20
    assert MAX_STEP_BYTES / 4 < taken <= MAX_STEP_BYTES


def test_classes_that_the_loss_says_are_none_are_not_shown(tmp_path):
    class Regression(Net):
        def training_step(self, batch, batch_idx):
            return F.mse_loss(self(batch[0]), torch.ones(len(batch[0]), 4))

    train(tmp_path, Regression, callback=tapping(every_n_train_steps=1), max_epochs=1)
    found = shown(tmp_path, "conv1")
    assert [step for step, *_ in found] == [1, 2, 3, 4, 5, 6]
    for _, header, arrays in found:
        assert (arrays["targets"] == -1).all()
        assert "predicted" not in header


def test_classes_come_from_where_the_loss_finds_them(tmp_path):
    class Moved(TinyData):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return {"image": image, "length": torch.tensor(3), "kind": target}

    class Named(Net):
        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch["image"]), batch["kind"])

        def validation_step(self, batch, batch_idx):
            self(batch["image"])

    moved = DataLoader(Moved(48), BATCH), DataLoader(Moved(16), BATCH)
    fit(tmp_path, [tapping(every_n_train_steps=1)], model=Named, data=moved, max_epochs=1)
    targets = [arrays["targets"].tolist() for _, _, arrays in shown(tmp_path, "conv1")]
    assert targets[1:] == [[0, 1, 2, 3]] * 5
    assert targets[0] in ([-1] * SHOWN, [0, 1, 2, 3])


def test_samples_that_were_mixed_before_the_model_saw_them_have_no_classes(tmp_path):
    class Mixed(Net):
        def training_step(self, batch, batch_idx):
            likely = F.log_softmax(self(batch[0].flip(0)), 1)  # a loss that does not tell which class is whose
            return -likely[torch.arange(len(likely)), batch[1].flip(0)].mean()

    by_hand = train(tmp_path, Mixed, max_epochs=1)
    ((_, _, arrays),) = found = shown(tmp_path, "conv2")
    assert arrays["targets"].tolist() == [-1] * SHOWN
    net, x, y = by_hand.steps[5]
    by_hand.steps[5] = net, x.flip(0), y.flip(0)
    check(found[0], by_hand.at(6)[0], "conv2")  # of the first rows that the model got


def test_a_compiled_model_has_none_and_a_line_says_so_once(tmp_path, told):
    class Compiled(Net):
        def __init__(self):
            super().__init__()
            self.conv2.compile(backend="eager")

    train(tmp_path, Compiled, callback=tapping(every_n_train_steps=1), max_epochs=1)
    assert records(tmp_path, "feature_maps/conv1")
    assert shown(tmp_path, "conv1") == []
    assert told().count("FeatureMaps: no gradient maps are shown of a compiled model") == 1


# ---- untouched


class Checkpointed(Net):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)


class Keeping(Net):
    """Keeps outputs and their graph for later, and propagates back through it again."""

    def training_step(self, batch, batch_idx):
        self.kept = self(batch[0]).float()
        loss = F.cross_entropy(self.kept, batch[1])
        if batch_idx % 2:
            (slope,) = torch.autograd.grad(loss, self.conv1.weight, create_graph=True)
            loss = loss + slope.square().sum()
        return loss


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 4}, {"precision": "bf16-mixed"}], ids=str)
@pytest.mark.parametrize("model", [Net, Checkpointed, Keeping, Manual], ids=lambda model: model.__name__)
def test_training_is_the_same_to_the_bit(model, options, tmp_path):
    if model is Manual and "accumulate_grad_batches" in options:
        pytest.skip("Lightning refuses to accumulate there")
    callbacks = [*maps(), tapping(every_n_train_steps=1, tag="more")]
    assert differing(tmp_path, model, callbacks, data=data, **options) == []
    assert shown(tmp_path / "with", "conv2")


class Failing(pl.Callback):
    """Fails at some place of the last batch of the first epoch, which is tapped."""

    def __init__(self, place):
        self.place = place
        setattr(self, place, self.fail)

    def fail(self, trainer, *_):
        if trainer.is_last_batch:
            raise RuntimeError(f"crash in {self.place}")


PLACES = ["on_train_batch_start", "on_before_backward", "on_after_backward", "on_train_batch_end"]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_stays_behind_where_the_training_fails(place, tmp_path):
    model, callback = Net(), tapping()
    with pytest.raises(RuntimeError, match=f"crash in {place}"):
        fit(tmp_path, [callback, Failing(place)], model=model, data=data())
    assert hooks(model) == 0
    assert (callback._gradient_tap, callback._tapped, callback._tapped_pair) == (None, None, None)


def test_nothing_stays_behind_where_the_backward_pass_fails_or_a_batch_is_skipped(tmp_path):
    class Broken(Net):
        def backward(self, loss):
            super().backward(loss)
            if self.trainer.is_last_batch:
                raise RuntimeError("crash in the backward pass")

    model = Broken()
    with pytest.raises(RuntimeError, match="crash in the backward pass"):
        fit(tmp_path / "broken", [tapping()], model=model, data=data())
    assert hooks(model) == 0

    class Leaving(Net):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == BATCHES - 1 else None

    model = Leaving()
    train(tmp_path / "leaving", model)
    assert hooks(model) == 0
    assert image_steps(tmp_path / "leaving")["feature_maps/conv1"] == [5, 10]
    assert shown(tmp_path / "leaving", "conv1") == []


def test_what_fails_in_a_hook_is_one_warning_and_the_training_goes_on(tmp_path, monkeypatch):
    def broken(*_):
        raise ArithmeticError("no maps today")

    monkeypatch.setattr("lightning_cnnviz.callbacks.tapping.block_means", broken)
    with pytest.warns(UserWarning, match="FeatureMaps failed to draw; .*no maps today") as caught:
        run = fit(tmp_path, [FeatureMaps(num_images=SHOWN)], model=Net, data=data())
    assert len([one for one in caught if "no maps today" in str(one.message)]) == 1
    assert run.global_step == 12
    assert records(tmp_path, "feature_maps/conv1")
    assert hooks(run.lightning_module) == 0


def test_a_copy_of_the_callback_in_mid_step_taps_nothing(tmp_path):
    class Copying(pl.Callback):
        def on_after_backward(self, trainer, pl_module):
            twin = copy.deepcopy(trainer.callbacks[1])
            assert (twin._gradient_tap, twin._tapped) == (None, None)
            copy.deepcopy(pl_module.conv1)(torch.rand(1, 1, 8, 8))

    callback = tapping(every_n_train_steps=1, probe=Probe(SHOWN))
    by_hand = ByHand()
    fit(tmp_path, [Copying(), callback, by_hand], model=Net, data=data(), max_epochs=1)
    for record in shown(tmp_path, "conv1"):
        check(record, by_hand.at(record[0])[0], "conv1")
