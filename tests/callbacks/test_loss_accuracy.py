"""The curves in the event file are the loss and accuracy of the run."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, scalars
from sklearn.metrics import accuracy_score
from tensorboard.plugins.custom_scalar import layout_pb2
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_cnnviz import FeatureMaps, LossAccuracy, Probe


class Reference(pl.Callback):
    """Every batch's true loss and predictions, from the scores that the model's own forward gave."""

    def __init__(self):
        self.epochs = {"train": [], "val": []}

    def on_train_epoch_start(self, *_):
        self.epochs["train"].append([])

    def on_validation_epoch_start(self, trainer, *_):
        if not trainer.sanity_checking:
            self.epochs["val"].append([])

    def expected(self, stage, quantity):
        values = []
        for epoch in self.epochs[stage]:
            scores = torch.cat([scores for scores, _ in epoch]).double()
            targets = torch.cat([targets for _, targets in epoch])
            loss = F.cross_entropy(scores, targets).item()
            values.append(loss if quantity == "loss" else accuracy_score(targets, scores.argmax(1)))
        return values


class Silent(TinyNet):
    """Logs nothing; calls itself, or its layers through a submodule, as asked."""

    def __init__(self, reference, returns=True):
        super().__init__()
        self.reference, self.returns, self.passes = reference, returns, 0

    def forward(self, x):
        self.passes += 1
        return super().forward(x)

    def keep(self, stage, batch):
        scores = self(batch[0])
        if not self.trainer.sanity_checking:
            self.reference.epochs[stage][-1].append((scores.detach().clone(), batch[1]))
        return F.cross_entropy(scores, batch[1])

    def training_step(self, batch, batch_idx):
        return self.keep("train", batch)

    def validation_step(self, batch, batch_idx):
        loss = self.keep("val", batch)
        return loss if self.returns else None


@pytest.mark.parametrize("accumulate", [1, 4])
def test_what_the_module_does_not_log_is_computed_without_a_second_pass(accumulate, tmp_path):
    reference = Reference()
    model = Silent(reference)
    data = (
        DataLoader(TinyData(44, augment=True), 8, shuffle=True),
        DataLoader(TinyData(42, seed=1), 8),
    )  # uneven batches
    curves = LossAccuracy(on_error="raise")
    fit(tmp_path, [reference, curves], model=model, data=data, accumulate_grad_batches=accumulate)
    for stage in ("train", "val"):
        for quantity in ("loss", "accuracy"):
            logged = [value for _, value in scalars(tmp_path, f"curves/{quantity}/{stage}")]
            assert logged == pytest.approx(reference.expected(stage, quantity), rel=1e-5), (stage, quantity)
    assert model.passes == 2 * (6 + 6) + 2  # epochs of training and validation batches, and the sanity check


def test_a_step_that_calls_a_submodule_is_heard_too(tmp_path):
    class Wrapper(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.correct = TinyNet(), []

        def training_step(self, batch, batch_idx):
            scores = self.model(batch[0])
            self.correct += (scores.argmax(1) == batch[1]).tolist()
            return F.cross_entropy(scores, batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    model = Wrapper()
    fit(tmp_path, [LossAccuracy(on_error="raise")], model=model, data=(loaders()[0], None), max_epochs=1)
    assert scalars(tmp_path, "curves/accuracy/train") == [(6, pytest.approx(np.mean(model.correct)))]


def test_logged_metrics_are_taken_as_they_are(tmp_path):
    class Logging(TinyNet):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("train/acc", float(self.current_epoch), on_step=False, on_epoch=True)
            return loss

        def on_train_epoch_end(self):  # later than any callback sees the epoch's end
            self.log("train/loss_epoch", 100.0 + self.current_epoch)

        def validation_step(self, batch, batch_idx):
            self.log_dict({"valid_loss": 5.0 + self.current_epoch, "valid_accuracy": 0.25})

    fit(tmp_path, [LossAccuracy(on_error="raise", train_loss="train/loss_epoch")], model=Logging())
    assert scalars(tmp_path, "curves/loss/train") == [(6, 100), (12, 101)]
    assert scalars(tmp_path, "curves/accuracy/train") == [(6, 0), (12, 1)]
    assert scalars(tmp_path, "curves/loss/val") == [(6, 5), (12, 6)]
    assert scalars(tmp_path, "curves/accuracy/val") == [(6, 0.25), (12, 0.25)]


def test_a_step_value_is_not_taken_for_an_epochs_mean(tmp_path):
    class Steps(TinyNet):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx) * 0 + batch_idx
            self.log("loss", loss)  # Lightning's default in a training step: this step's value only
            return loss

        def on_train_start(self):
            self.log_names = True

    class Only(Steps):
        def log(self, name, *args, **kwargs):
            if name == "loss":
                super().log(name, *args, **kwargs)

    fit(tmp_path, [LossAccuracy(on_error="raise")], model=Only(), data=(loaders()[0], None), max_epochs=1)
    assert scalars(tmp_path, "curves/loss/train") == [(6, pytest.approx(2.5))]  # mean of 0…5, not 5


def test_images_and_the_custom_scalars_layout(tmp_path):
    fit(tmp_path, [LossAccuracy()])
    assert image_steps(tmp_path) == {"curves/loss": [6, 12], "curves/accuracy": [6, 12]}
    tensor = events(tmp_path).Tensors("custom_scalars__config__")[0].tensor_proto
    layout = layout_pb2.Layout.FromString(tensor.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert charts == {
        "curves/loss": ["^curves/loss/train$", "^curves/loss/val$"],
        "curves/accuracy": ["^curves/accuracy/train$", "^curves/accuracy/val$"],
    }


def test_validation_in_mid_epoch_gives_a_point_each(tmp_path):
    curves = LossAccuracy(on_error="raise")
    fit(tmp_path, [curves], val_check_interval=0.5)
    assert [point.epoch for point in curves._points["accuracy", "val"]] == [0.5, 1.0, 1.5, 2.0]
    assert [step for step, _ in scalars(tmp_path, "curves/accuracy/val")] == [3, 6, 9, 12]
    assert [point.epoch for point in curves._points["loss", "train"]] == [1.0, 2.0]


def test_points_are_taken_every_epoch_even_if_drawn_rarely(tmp_path):
    fit(tmp_path, [LossAccuracy(every_n_epochs=2)])
    assert [step for step, _ in scalars(tmp_path, "curves/loss/val")] == [6, 12]
    assert image_steps(tmp_path)["curves/loss"] == [12]


def test_an_autoencoder_has_a_loss_and_no_accuracy(tmp_path):
    class Auto(TinyNet):
        def training_step(self, batch, batch_idx):
            return self(batch).square().mean()

        def validation_step(self, batch, batch_idx):
            return self(batch).square().mean()

    class Images(TinyData):
        def __getitem__(self, index):
            return super().__getitem__(index)[0]

    fit(
        tmp_path,
        [LossAccuracy(on_error="raise")],
        model=Auto(),
        data=(DataLoader(Images(), 8), DataLoader(Images(), 8)),
    )
    assert set(image_steps(tmp_path)) == {"curves/loss"}


def test_a_name_that_is_not_logged_is_said_with_what_is(tmp_path):
    with pytest.warns(UserWarning, match="val_loss='loss/valid' is not logged; logged metrics: .*val_loss"):
        fit(tmp_path, [LossAccuracy(val_loss="loss/valid")])


def test_scores_of_a_named_layer(tmp_path):
    reference = Reference()
    fit(tmp_path, [reference, LossAccuracy(layers="fc2", on_error="raise")], model=Silent(reference), max_epochs=1)
    logged = [value for _, value in scalars(tmp_path, "curves/accuracy/val")]
    assert logged == pytest.approx(reference.expected("val", "accuracy"))


def test_only_one_layer_can_give_the_scores(tmp_path):
    with pytest.raises(ValueError, match="the one layer that outputs the class scores, got \\['fc1', 'fc2'\\]"):
        fit(tmp_path, [LossAccuracy(layers="fc*")])


def test_curves_go_on_after_a_resume(tmp_path):
    curves = LossAccuracy()
    fit(tmp_path, [curves]).save_checkpoint(tmp_path / "last.ckpt")
    resumed = LossAccuracy()
    resumed.load_state_dict(torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"][curves.state_key])
    assert resumed._points == curves._points
    assert [point.step for point in resumed._points["loss", "train"]] == [6, 12]


def test_a_checkpoint_at_the_epochs_end_has_that_epochs_points(tmp_path):
    curves, keep = LossAccuracy(on_error="raise"), pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit(tmp_path, [curves, keep], enable_checkpointing=True)
    saved = torch.load(tmp_path / "epoch=0.ckpt", weights_only=True)["callbacks"][curves.state_key]["points"]
    assert [step for _, step, _ in saved["loss/train"]] == [step for _, step, _ in saved["loss/val"]] == [6]
    assert saved["loss/train"][0] == tuple(curves._points["loss", "train"][0])
    assert [point.step for point in curves._points["loss", "train"]] == [6, 12]


def test_pictures_drawn_during_a_step_are_not_taken_for_it(tmp_path):
    """A probe of as many samples as a batch, all of one class, is looked at while the batch is listened to."""

    class Unlogged(TinyNet):
        def log(self, *_, **__):
            pass

    def accuracies(*others):
        folder = tmp_path / str(len(others))
        fit(folder, [*others, LossAccuracy(on_error="raise")], model=Unlogged)
        return scalars(folder, "curves/accuracy/train")

    images = TinyData(8).images[:1].repeat(8, 1, 1, 1)
    probe = Probe.from_tensors(images, torch.zeros(8, dtype=torch.long))
    alone = accuracies()
    assert len(alone) == 2
    assert accuracies(FeatureMaps(every_n_train_steps=1, num_images=8, probe=probe, on_error="raise")) == alone


# ---- metrics as the module logged them


class Counts(TinyNet):
    """Counts in each epoch what it got right, and logs nothing."""

    def __init__(self):
        super().__init__()
        self.hits, self.shares, self.means = {"train": [], "val": []}, {"train": [], "val": []}, []

    def measure(self, stage, batch):
        scores = self(batch[0])
        self.hits[stage] += (scores.argmax(1) == batch[1]).tolist()
        return F.cross_entropy(scores, batch[1])

    def training_step(self, batch, batch_idx):
        return self.measure("train", batch)

    def validation_step(self, batch, batch_idx):
        return self.measure("val", batch)

    def close(self, stage):
        if not self.trainer.sanity_checking:
            self.shares[stage].append(float(np.mean(self.hits[stage])))
        self.hits[stage] = []

    def on_train_epoch_end(self):
        self.close("train")

    def on_validation_epoch_end(self):
        self.close("val")


def curve(folder, quantity, stage):
    return [value for _, value in scalars(folder, f"curves/{quantity}/{stage}")]


def test_a_metric_of_every_third_epoch_has_no_points_between(tmp_path):
    class Rare(Counts):
        def on_validation_epoch_end(self):
            super().on_validation_epoch_end()
            if self.current_epoch % 3 == 0 and self.shares["val"]:
                self.log("val_acc", self.shares["val"][-1])

    run = fit(tmp_path, [LossAccuracy()], model=Rare, max_epochs=7)
    points = scalars(tmp_path, "curves/accuracy/val")
    assert [step for step, _ in points] == [6, 24, 42]
    np.testing.assert_allclose([value for _, value in points], run.lightning_module.shares["val"][::3], rtol=1e-6)


def test_one_name_for_both_stages_is_two_curves(tmp_path):
    class Shared(Counts):
        def measure(self, stage, batch):
            loss = super().measure(stage, batch)
            self.log("acc", float(np.mean(self.hits[stage][-len(batch[0]) :])), on_step=False, on_epoch=True)
            return loss

    run = fit(tmp_path, [LossAccuracy()], model=Shared, max_epochs=3)
    for stage in ("train", "val"):
        np.testing.assert_allclose(curve(tmp_path, "accuracy", stage), run.lightning_module.shares[stage], rtol=1e-6)


def test_a_metric_of_the_validation_without_its_stage_is_no_training_metric(tmp_path):
    class Stageless(Counts):
        def validation_step(self, batch, batch_idx):
            loss = super().validation_step(batch, batch_idx)
            self.log("acc", float(np.mean(self.hits["val"][-len(batch[0]) :])))
            self.log("loss", loss)

    run = fit(tmp_path, [LossAccuracy()], model=Stageless, max_epochs=3)
    for stage in ("train", "val"):
        np.testing.assert_allclose(curve(tmp_path, "accuracy", stage), run.lightning_module.shares[stage], rtol=1e-6)
    assert curve(tmp_path, "loss", "train") != curve(tmp_path, "loss", "val")


def test_a_loss_that_is_logged_in_some_batches_is_no_mean(tmp_path):
    class Sometimes(Counts):
        def on_train_epoch_start(self):
            self.losses = []

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.losses.append(float(loss))
            if batch_idx % 3 == 2:
                self.log("train_loss", loss)
            return loss

        def on_train_epoch_end(self):
            super().on_train_epoch_end()
            self.means.append(np.mean(self.losses))

    run = fit(tmp_path, [LossAccuracy()], model=Sometimes, max_epochs=3)
    np.testing.assert_allclose(curve(tmp_path, "loss", "train"), run.lightning_module.means, rtol=1e-5)


def test_percent_stands_beside_percent(tmp_path):
    class Percent(Counts):
        def validation_step(self, batch, batch_idx):
            loss = super().validation_step(batch, batch_idx)
            self.log("val_acc", 100 * float(np.mean(self.hits["val"][-len(batch[0]) :])))
            return loss

    run = fit(tmp_path, [LossAccuracy()], model=Percent, max_epochs=3)
    for stage in ("train", "val"):
        expected = 100 * np.array(run.lightning_module.shares[stage])
        np.testing.assert_allclose(curve(tmp_path, "accuracy", stage), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["val_top5_acc", "val_best_acc"])
def test_what_is_no_accuracy_is_not_drawn_as_one(name, tmp_path):
    class Other(Counts):
        def on_validation_epoch_end(self):
            super().on_validation_epoch_end()
            self.log(name, 1.0)

    run = fit(tmp_path, [LossAccuracy()], model=Other, max_epochs=2)
    np.testing.assert_allclose(curve(tmp_path, "accuracy", "val"), run.lightning_module.shares["val"], rtol=1e-6)
