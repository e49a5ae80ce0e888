"""The numbers and pictures in the event file are those of a second pass over the validation data."""

import io
import warnings

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tab_records import records
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, scalars
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, recall_score
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_cnnviz import ClassReport
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional.class_report import confusion_matrix_chart
from lightning_cnnviz.functional.drawing.image_sheet import prediction_sheet

NAMES = list(TinyData.classes)
IMAGES = {"class_report/confusion", "class_report/mistakes", "class_report/samples"}


def pictures(folder, kind):
    return {
        image.step: np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        for image in events(folder).Images(f"class_report/{kind}")
    }


def accuracies(folder):
    return {tag for tag in events(folder).Tags()["scalars"] if tag.startswith("class_report")}


def uneven():
    """Noisy validation data in batches of which the last is smaller, so that a short training gets some wrong."""
    data = TinyData(42, seed=1)
    data.images += 4 * torch.rand(data.images.shape, generator=torch.Generator().manual_seed(3))
    return loaders()[0], DataLoader(data, 8)


class ByHand(pl.Callback):
    """The scores of a second pass over the validation data at every epoch's end."""

    def __init__(self, data):
        self.data, self.of_step = data, {}

    def on_train_epoch_end(self, trainer, pl_module):
        with torch.no_grad(), torch.random.fork_rng():
            pl_module.eval()
            scores = torch.cat([pl_module(x).double() for x, _ in self.data]).numpy()
            pl_module.train()
        self.of_step[trainer.global_step] = scores


def test_numbers_and_pictures_are_those_of_a_second_pass(tmp_path):
    data = uneven()
    images, targets = data[1].dataset.images, data[1].dataset.targets.numpy()
    by_hand = ByHand(data[1])
    fit(tmp_path, [ClassReport(on_error="raise", max_mistakes=6), by_hand], data=data, max_epochs=3)
    assert image_steps(tmp_path) == {tag: [6, 12, 18] for tag in IMAGES}
    assert accuracies(tmp_path) == {f"class_report/accuracy/{name}" for name in NAMES}
    confusion, mistakes, samples = (pictures(tmp_path, kind) for kind in ("confusion", "mistakes", "samples"))
    recorded = {step: rest for step, *rest in records(tmp_path, "confusion")}
    for epoch, (step, scores) in enumerate(by_hand.of_step.items(), start=1):
        predicted, sure = scores.argmax(axis=1), softmax(scores, axis=1).max(axis=1)
        for name, recall in zip(NAMES, recall_score(targets, predicted, average=None), strict=True):
            assert dict(scalars(tmp_path, f"class_report/accuracy/{name}"))[step] == pytest.approx(recall)
        when = f"epoch {epoch} · step {step}"
        counts = confusion_matrix(targets, predicted)
        header, arrays = recorded[step]
        assert (header["classes"], header["split"]) == (NAMES, "val")
        assert np.array_equal(arrays["counts"], counts)
        expected = confusion_matrix_chart(counts, NAMES, title=f"confusion · {when}")
        assert np.array_equal(confusion[step], expected)
        wrong = np.flatnonzero(predicted != targets)
        assert len(wrong) > 1, "nothing to be sorted"
        surest = wrong[np.argsort(-sure[wrong])][:6]
        note = f"the {len(surest)} most confident of {len(wrong)} mistakes in 42 samples"
        for picture, chosen, words in (
            (mistakes[step], surest, {"title": f"mistakes · {when}", "note": note}),
            (samples[step], np.arange(20), {"title": f"samples · {when}", "note": "the first 20 of 42 samples"}),
        ):
            low, high = images[chosen].min(), images[chosen].max()
            shown = (255 * (images[chosen] - low) / (high - low)).round().to(torch.uint8)
            words["note"] += f" · one colour scale for all samples: {low:.3g}…{high:.3g}"
            expected = prediction_sheet(shown, targets[chosen], predicted[chosen], sure[chosen], NAMES, **words)
            assert np.array_equal(picture, expected)


def test_there_is_no_second_pass(tmp_path):
    class Counting(TinyNet):
        passes = 0

        def forward(self, x):
            self.passes += 1
            return super().forward(x)

    model = Counting()
    fit(tmp_path, [ClassReport(on_error="raise")], model=model)
    assert model.passes == 2 * (6 + 5) + 2  # epochs of training and validation batches, and the sanity check


@pytest.mark.parametrize(
    ("when", "run", "steps"),
    [
        ({"every_n_epochs": 2}, {"max_epochs": 5}, [12, 24, 30]),  # the last epoch always
        ({"every_n_epochs": 2}, {"max_epochs": 2, "val_check_interval": 0.5}, [9, 12]),
        ({"every_n_train_steps": 7}, {"max_epochs": 4}, [12, 18, 24]),  # became due at 7, 14, 21
        ({"every_n_train_steps": 100}, {}, [12]),
        ({}, {"max_epochs": 4, "check_val_every_n_epoch": 2}, [12, 24]),
    ],
    ids=str,
)
def test_a_validation_is_drawn_if_it_is_due(when, run, steps, tmp_path):
    fit(tmp_path, [ClassReport(**when, on_error="raise")], **run)
    assert image_steps(tmp_path) == dict.fromkeys(IMAGES, steps)


def test_a_validation_that_is_not_due_is_not_listened_to_where_cost_is_to_be_saved(tmp_path):
    class Hooks(pl.Callback):
        heard = ()

        def on_train_start(self, trainer, pl_module):
            trainer.callbacks[0].stretch = 2  # as `CostLimit` does

        def on_validation_batch_start(self, trainer, pl_module, *_):
            if not trainer.sanity_checking:
                self.heard = (*self.heard, bool(pl_module._forward_hooks))

    hooks = Hooks()
    fit(tmp_path, [ClassReport(), hooks], max_epochs=2)
    assert hooks.heard == (False,) * 5 + (True,) * 5


def test_scores_of_a_named_layer(tmp_path):
    class Wrapped(TinyNet):
        def forward(self, x):
            return {"classes": super().forward(x).argmax(1)}

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(super().forward(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx):
            self(batch[0])

    fit(tmp_path, [ClassReport(layers="fc2", on_error="raise")], model=Wrapped())
    assert image_steps(tmp_path) == {tag: [6, 12] for tag in IMAGES}
    with pytest.raises(ValueError, match=r"the one layer that outputs the class scores, got \['fc1', 'fc2'\]"):
        fit(tmp_path / "two", [ClassReport(layers="fc*")])


# ---- names


@pytest.mark.parametrize("names", [["a", "b", "c"], [str(number) for number in range(7)]])
def test_names_that_are_not_the_models_classes_end_the_run_before_its_first_step(names, tmp_path):
    model = TinyNet()
    with pytest.raises(ConfigurationError, match=rf"each of the model's 4 classes, got {len(names)} class_names"):
        fit(tmp_path, [ClassReport(class_names=names)], model=model)
    assert model.trainer.global_step == 0
    assert not any(module._forward_hooks for module in model.modules())


def test_without_a_sanity_check_they_give_one_warning_and_numbers(tmp_path):
    with pytest.warns(UserWarning, match="expected 4 class_names, got 3; class indices are shown") as caught:
        fit(tmp_path, [ClassReport(class_names=["a", "b", "c"])], num_sanity_val_steps=0)
    assert len([warning for warning in caught if "ClassReport" in str(warning.message)]) == 1
    assert accuracies(tmp_path) == {f"class_report/accuracy/{number}" for number in range(4)}


def test_given_names_are_used_and_equal_ones_told_apart(tmp_path):
    fit(tmp_path, [ClassReport(class_names=["cat", "cat", "dog", "T-shirt/top"], on_error="raise")])
    expected = {"cat (0)", "cat (1)", "dog", "T-shirt/top"}
    assert accuracies(tmp_path) == {f"class_report/accuracy/{name}" for name in expected}


def test_names_that_were_found_but_do_not_fit_are_dropped_for_numbers(tmp_path):
    class More(TinyNet):
        def __init__(self):
            super().__init__()
            self.fc2 = nn.Linear(16, 6)

    fit(tmp_path, [ClassReport(on_error="raise")], model=More())  # four names, six outputs
    assert accuracies(tmp_path) == {f"class_report/accuracy/{number}" for number in range(4)}  # two have no samples


# ---- what is no classifier's, or only partly


def test_targets_that_are_no_class_are_left_out_and_counted_on_the_picture(tmp_path):
    class Ignoring(TinyNet):
        def validation_step(self, batch, batch_idx):
            self(batch[0])

    data = TinyData(40, seed=1)
    data.targets[:9] = -100
    data.targets[9:11] = 7
    by_hand = ByHand(DataLoader(data, 8))
    fit(
        tmp_path,
        [ClassReport(on_error="raise"), by_hand],
        model=Ignoring(),
        data=(loaders()[0], DataLoader(data, 8)),
        max_epochs=1,
    )
    counts = confusion_matrix(data.targets[11:], by_hand.of_step[6].argmax(axis=1)[11:], labels=range(4))
    note = "9 samples with a negative target excluded · 2 samples with a target above 3 excluded"
    expected = confusion_matrix_chart(counts, NAMES, title="confusion · epoch 1 · step 6", note=note)
    assert np.array_equal(pictures(tmp_path, "confusion")[6], expected)


class Other(TinyData):
    """The same images with targets of another kind."""

    def __init__(self, kind):
        super().__init__(24)
        self.kind = kind

    def __getitem__(self, index):
        image, target = super().__getitem__(index)
        return {
            "several labels": (image, F.one_hot(target, 4).float()),
            "a mask": (image, torch.zeros(8, 8, dtype=torch.long)),
            "a value": (image, target + 0.25),
            "none": image,
        }[self.kind]


class Elsewhere(TinyNet):
    """Trains on whatever, of which the report understands nothing."""

    def training_step(self, batch, batch_idx):
        return self(batch if isinstance(batch, torch.Tensor) else batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        self.training_step(batch, batch_idx)


@pytest.mark.parametrize("kind", ["several labels", "a mask", "a value", "none"])
def test_other_targets_leave_nothing_to_report_and_one_warning(kind, tmp_path):
    data = DataLoader(Other(kind), 8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(tmp_path, [ClassReport(on_error="raise")], model=Elsewhere(), data=(data, data))
    ours = [str(warning.message) for warning in caught if "ClassReport" in str(warning.message)]
    assert len(ours) == 1
    assert "found nothing to report: expected class scores of shape (samples, classes)" in ours[0]
    assert image_steps(tmp_path) == {}


def test_a_model_with_one_output_has_two_classes(tmp_path):
    class Binary(TinyNet):
        def __init__(self):
            super().__init__()
            self.fc2 = nn.Linear(16, 1)

        def training_step(self, batch, batch_idx):
            return F.binary_cross_entropy_with_logits(self(batch[0])[:, 0], batch[1].float())

        def validation_step(self, batch, batch_idx):
            self.training_step(batch, batch_idx)

    def halves(seed):
        data = TinyData(40, seed=seed)
        data.targets //= 2
        data.classes = ("upright", "lying")
        return DataLoader(data, 8)

    by_hand = ByHand(halves(1))
    fit(tmp_path, [ClassReport(on_error="raise"), by_hand], model=Binary(), data=(halves(0), halves(1)))
    assert accuracies(tmp_path) == {"class_report/accuracy/upright", "class_report/accuracy/lying"}
    targets, predicted = TinyData(40).targets // 2, (by_hand.of_step[10][:, 0] > 0).astype(int)
    for number, name in enumerate(("upright", "lying")):
        recall = recall_score(targets, predicted, pos_label=number)
        assert dict(scalars(tmp_path, f"class_report/accuracy/{name}"))[10] == pytest.approx(recall)


def test_no_validation_data_gives_one_line(tmp_path, told):
    fit(tmp_path, [ClassReport(on_error="raise")], data=(loaders()[0], None))
    lines = {line for line in told().splitlines() if "ClassReport: no validation data" in line}
    assert len(lines) == 1
    assert image_steps(tmp_path) == {}


def test_only_the_first_of_several_loaders_is_reported(tmp_path):
    class Two(TinyNet):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self(batch[0])

    by_hand = ByHand(loaders()[1])
    fit(
        tmp_path,
        [ClassReport(on_error="raise"), by_hand],
        model=Two(),
        data=(loaders()[0], [loaders()[1], DataLoader(TinyData(16, seed=5), 8)]),
        max_epochs=1,
    )
    counts = confusion_matrix(TinyData(40).targets, by_hand.of_step[6].argmax(axis=1))
    expected = confusion_matrix_chart(counts, NAMES, title="confusion · epoch 1 · step 6")
    assert np.array_equal(pictures(tmp_path, "confusion")[6], expected)


def test_images_of_several_sizes_give_one_warning_and_the_numbers(tmp_path):
    class Sizes(TinyNet):
        def forward(self, x):
            return super().forward(x[:, :, :8, :8])

    def collate(items):
        images, targets = torch.utils.data.default_collate(items)
        return F.pad(images, (0, 0, 0, int(targets.sum()) % 3)), targets

    val = DataLoader(TinyData(40, seed=1), 7, collate_fn=collate)
    with pytest.warns(UserWarning, match="ClassReport failed to draw; .* expected inputs of one size to show"):
        fit(tmp_path, [ClassReport()], model=Sizes(), data=(loaders()[0], val))
    assert image_steps(tmp_path)["class_report/confusion"] == [6, 12]
    assert len(accuracies(tmp_path)) == 4


def test_an_exception_in_the_validation_leaves_no_hook(tmp_path):
    class Crashing(TinyNet):
        def validation_step(self, batch, batch_idx):
            if self.trainer.global_step:
                raise RuntimeError("crash")

    model = Crashing()
    with pytest.raises(RuntimeError, match="crash"):
        fit(tmp_path, [ClassReport()], model=model)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_mistakes": 0}, "max_mistakes to be at least 1, got 0"),
        ({"class_names": "cat"}, "to be a list of names or a mapping from class index to name, got 'cat'"),
        ({"class_names": [1, 2]}, "class_names to be a list of names"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ClassReport(**arguments)
