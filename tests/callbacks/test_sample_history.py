"""What the CSV, the scalars and the pictures tell is what the module's own steps have computed."""

import csv
import warnings

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, scalars, trainer
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, Subset, WeightedRandomSampler

from lightning_cnnviz import SampleHistory
from lightning_cnnviz.functional import sample_dynamics, sample_margins

KINDS = ("map", "mislabelled", "forgotten", "hardest")


class Numbered(TinyData):
    """Samples with their own number as a third part, which no callback of ours is told of."""

    def __init__(self, size=48, seed=0, augment=True, noise=4.0):
        super().__init__(size, augment=augment, seed=seed)
        self.images += noise * torch.rand(self.images.shape, generator=torch.Generator().manual_seed(3))

    def __getitem__(self, index):
        return *super().__getitem__(index), {"number": torch.tensor(float(index))}


class Witness(TinyNet):
    """Takes down, in its own steps, the scores of each sample by its number."""

    def __init__(self):
        super().__init__(learning_rate=0.02)
        self.seen = {"train": [], "val": []}

    def training_step(self, batch, batch_idx):
        x, y, more = batch
        scores = self(x)
        self.seen["train"].append((self.current_epoch, more["number"].long(), scores.detach().clone(), y))
        return F.cross_entropy(scores, y)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        x, y, more = batch
        scores = self(x)
        if not self.trainer.sanity_checking and dataloader_idx == 0:
            self.seen["val"].append((self.current_epoch, more["number"].long(), scores.clone(), y))

    def dynamics(self, split, samples):
        """The dynamics of its samples, put together by their numbers."""
        passes = 1 + max(epoch for epoch, *_ in self.seen[split])
        margins, confidences = np.full((2, passes, samples), np.nan)
        predicted, targets = np.zeros((passes, samples), int), np.zeros(samples, int)
        for epoch, numbers, scores, y in self.seen[split]:
            found = sample_margins(scores, y)
            margins[epoch, numbers], confidences[epoch, numbers] = found.margin, found.confidence
            predicted[epoch, numbers], targets[numbers] = found.predicted, y
        return sample_dynamics(margins, confidences, predicted, targets)


def numbered(workers=0, **options):
    train = DataLoader(Numbered(), 8, **{"shuffle": True, "num_workers": workers, **options})
    return train, DataLoader(Numbered(40, seed=1, augment=False), 8)


def rows(folder, split, name="sample_history.csv"):
    with (folder / "run" / name).open() as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def assert_same(found, expected):
    """That the lines of a CSV hold what is expected."""
    numbers = np.flatnonzero(expected.seen)
    assert [int(row["sample"]) for row in found] == numbers.tolist()
    for column, name in {"class": "targets", **{name: name for name in expected._fields if name != "targets"}}.items():
        values = [float(row[column]) for row in found]
        np.testing.assert_allclose(values, getattr(expected, name)[numbers], rtol=2e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_csv_holds_what_the_modules_own_steps_computed_for_each_sample(workers, tmp_path):
    run = fit(
        tmp_path,
        [SampleHistory(on_error="raise", max_shown=4)],
        model=Witness,
        data=numbered(workers, persistent_workers=workers > 0),
        max_epochs=4,
        num_sanity_val_steps=2,
    )
    model = run.lightning_module
    for split, samples in (("train", 48), ("val", 40)):
        expected = model.dynamics(split, samples)
        assert_same(rows(tmp_path, split), expected)
        assert expected.passes.tolist() == [4] * samples
        seen = dict(scalars(tmp_path, f"sample_history/{split}/never_learned"))
        assert seen[24] == pytest.approx((expected.first_learned == 0).mean())
        assert dict(scalars(tmp_path, f"sample_history/{split}/forgotten"))[24] == pytest.approx(
            (expected.forgotten > 0).mean()
        )
        below = dict(scalars(tmp_path, f"sample_history/{split}/margin_below_zero"))[24]
        assert below == pytest.approx((expected.area_under_margin < 0).mean())
    assert model.dynamics("train", 48).forgotten.any(), "nothing was forgotten, so that nothing was tested"
    assert image_steps(tmp_path) == {
        f"sample_history/{split}/{kind}": [6, 12, 18, 24] for split in ("train", "val") for kind in KINDS
    }
    texts = {tag for tag in events(tmp_path).Tags()["tensors"] if "mislabelled_table" in tag}
    assert len(texts) == 2
    assert not list((tmp_path / "run").glob("*.part"))


def test_batches_that_accumulate_and_an_epoch_that_is_cut_short_are_followed_too(tmp_path):
    run = fit(
        tmp_path,
        [SampleHistory(on_error="raise")],
        model=Witness,
        data=numbered(),
        max_steps=5,
        max_epochs=-1,
        accumulate_grad_batches=2,
    )
    expected = run.lightning_module.dynamics("train", 48)
    assert expected.passes.min() < expected.passes.max() == 2
    assert_same(rows(tmp_path, "train"), expected)


def test_a_validation_in_mid_epoch_is_a_pass_of_its_own_and_is_drawn_where_steps_are_counted(tmp_path):
    callback = SampleHistory(on_error="raise", every_n_train_steps=2)
    fit(tmp_path, [callback], model=Witness, data=numbered(), max_epochs=2, val_check_interval=0.5)
    assert {row["passes"] for row in rows(tmp_path, "val")} == {"4"}
    assert {row["passes"] for row in rows(tmp_path, "train")} == {"2"}
    assert image_steps(tmp_path)["sample_history/val/map"] == [3, 6, 9, 12]


def test_a_sampler_that_draws_a_sample_again_leaves_others_out(tmp_path):
    torch.manual_seed(0)
    data = numbered(shuffle=False, sampler=WeightedRandomSampler([1.0] * 48, 48))
    run = fit(tmp_path, [SampleHistory(on_error="raise")], model=Witness, data=data, max_epochs=1)
    (drawn,) = [torch.cat([numbers for _, numbers, *_ in run.lightning_module.seen["train"]])]
    assert [int(row["sample"]) for row in rows(tmp_path, "train")] == sorted(set(drawn.tolist()))
    assert len(set(drawn.tolist())) < 48


def test_the_number_in_the_source_is_that_of_the_dataset_that_was_split(tmp_path):
    source = TinyData(60)
    chosen = list(range(59, 11, -1))
    data = DataLoader(Subset(source, chosen), 8, shuffle=True), loaders()[1]
    fit(tmp_path, [SampleHistory(on_error="raise")], data=data)
    assert [int(row["sample_in_source"]) for row in rows(tmp_path, "train")] == chosen
    assert [int(row["class"]) for row in rows(tmp_path, "train")] == source.targets[chosen].tolist()


def test_a_resumed_run_goes_on_with_what_was_known(tmp_path):
    def run(folder, epochs, **options):
        callbacks = [SampleHistory(on_error="raise")]
        pl.seed_everything(7)
        once = trainer(tmp_path / folder, callbacks, max_epochs=epochs)
        once.fit(TinyNet(), *numbered_plain(), **options)
        return once

    def numbered_plain():
        return DataLoader(TinyData(48), 8), DataLoader(TinyData(40, seed=1), 8)

    first = run("first", 2)
    first.save_checkpoint(tmp_path / "last.ckpt")
    run("resumed", 4, ckpt_path=tmp_path / "last.ckpt")
    before, after = rows(tmp_path / "first", "train"), rows(tmp_path / "resumed", "train")
    assert {row["passes"] for row in before} == {"2"}
    assert {row["passes"] for row in after} == {"4"}
    learned = [
        (int(one["first_learned"]), int(other["first_learned"])) for one, other in zip(before, after, strict=True)
    ]
    assert all(other == one if one else other == 0 or other > 2 for one, other in learned)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(image, target) for image, target in zip(TinyData(48).images, TinyData(48).targets, strict=True)])


class Batches:
    def __iter__(self):
        return iter([(torch.rand(8, 1, 8, 8), torch.arange(8) % 4)] * 6)


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (lambda: DataLoader(Stream(), 8), "Stream is a stream, whose samples have no numbers"),
        (lambda: Batches(), "Batches does not tell which samples"),
    ],
    ids=["stream", "no dataloader"],
)
def test_of_a_stream_only_the_validation_is_followed_and_one_line_says_so(train, reason, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("lightning_cnnviz.statistics.sample_follower.rank_zero_info", lines.append)
    fit(tmp_path, [SampleHistory(on_error="raise")], data=(train(), loaders()[1]))
    assert len(lines) == 1
    assert reason in lines[0]
    assert set(image_steps(tmp_path)) == {f"sample_history/val/{kind}" for kind in KINDS}
    assert rows(tmp_path, "train") == []
    assert len(rows(tmp_path, "val")) == 40


def test_of_several_dataloaders_the_first_validation_is_followed_and_no_training(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("lightning_cnnviz.statistics.sample_follower.rank_zero_info", lines.append)

    class Several(TinyNet):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch["a"], batch_idx)

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            super().validation_step(batch, batch_idx)

    train, val = loaders()
    data = {"a": train, "b": loaders()[0]}, [val, DataLoader(TinyData(16), 8)]
    fit(tmp_path, [SampleHistory(on_error="raise")], model=Several, data=data)
    assert "each batch holds samples of 2 dataloaders" in lines[0]
    assert len(lines) == 1
    assert len(rows(tmp_path, "val")) == 40


class WithoutClasses(TinyNet):
    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self(x), torch.zeros(len(x), 4))

    def validation_step(self, batch, batch_idx):
        self(batch[0])


def test_where_the_loss_knows_no_classes_one_line_says_so(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(tmp_path, [SampleHistory()], model=WithoutClasses)
    ours = [str(one.message) for one in caught if "SampleHistory" in str(one.message)]
    assert len(ours) == 1
    assert "the loss compares the model's output with values, not with classes" in ours[0]
    assert image_steps(tmp_path) == {}
    assert not (tmp_path / "run" / "sample_history.csv").exists()


class Binary(TinyNet):
    """Two classes, by one logit."""

    def __init__(self):
        super().__init__()
        self.fc2 = nn.Linear(16, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.binary_cross_entropy_with_logits(self(x)[:, 0], (y % 2).float())

    def validation_step(self, batch, batch_idx):
        self(batch[0])


class EvenOrOdd(TinyData):
    def __getitem__(self, index):
        image, target = super().__getitem__(index)
        return image, target % 2


def test_a_single_logit_is_followed(tmp_path):
    data = DataLoader(EvenOrOdd(), 8, shuffle=True), DataLoader(EvenOrOdd(40, seed=1), 8)
    fit(tmp_path, [SampleHistory(on_error="raise")], model=Binary, data=data, max_epochs=3)
    found = rows(tmp_path, "val")
    assert {row["class"] for row in found} == {"0", "1"}
    assert all((float(row["confidence"]) > 0.5) == (float(row["area_under_margin"]) > 0) for row in found[:3])


def test_wrong_labels_are_named_first(tmp_path):
    """Four of 96 easy samples have the label of another class."""
    data = TinyData(96)
    wrong = [5, 30, 53, 90]
    data.targets[wrong] = (data.targets[wrong] + 2) % 4
    pl.seed_everything(0)
    run = trainer(tmp_path, [SampleHistory(on_error="raise")], max_epochs=8)
    run.fit(TinyNet(learning_rate=0.01), DataLoader(data, 8, shuffle=True), loaders()[1])
    named = sorted(rows(tmp_path, "train"), key=lambda row: int(row["margin_rank"]))[:4]
    assert sorted(int(row["sample"]) for row in named) == wrong


def test_two_of_them_follow_the_same_and_leave_the_dataloader_as_it_was(tmp_path):
    data = loaders()
    own = data[0].batch_sampler
    callbacks = [SampleHistory(on_error="raise"), SampleHistory(on_error="raise", tag="again", max_shown=5)]
    run = fit(tmp_path, callbacks, data=data)
    assert data[0].batch_sampler is own
    assert "process_dataloader" not in vars(run.strategy)
    assert rows(tmp_path, "train") == rows(tmp_path, "train", "again.csv")
    assert len(rows(tmp_path, "train")) == 48


class WithoutFirst(Witness):
    """Makes something else of the first batch of a pass."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) if batch_idx else None

    def validation_step(self, batch, batch_idx):
        if batch_idx:
            super().validation_step(batch, batch_idx)


def test_a_first_batch_without_scores_moves_no_numbers(tmp_path):
    run = fit(tmp_path, [SampleHistory(on_error="raise")], model=WithoutFirst, data=numbered())
    for split, samples in (("train", 48), ("val", 40)):
        assert_same(rows(tmp_path, split), run.lightning_module.dynamics(split, samples))
    assert [int(row["sample"]) for row in rows(tmp_path, "val")] == list(range(8, 40))


class Pass(pl.Callback):
    """Looks at the training's data, for class weights or the statistics of a normalisation."""

    def __init__(self, hook):
        setattr(self, hook, self.look)

    def look(self, trainer, module, *batch):
        if not batch or batch[-1] == 0:
            for _ in trainer.train_dataloader:
                pass


class Finder(pl.callbacks.LearningRateFinder):
    """Looks for a learning rate at the start of epochs, as an example of Lightning's does."""

    def on_fit_start(self, *args):
        return

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 0:
            self.lr_find(trainer, module)


HOOKS = ("on_train_start", "on_train_epoch_start", "on_train_batch_start")


@pytest.mark.parametrize(
    "other",
    [
        *(pytest.param(lambda hook=hook: Pass(hook), id=hook) for hook in HOOKS),
        *(
            pytest.param(
                lambda kind=kind: kind(num_training_steps=8),
                marks=pytest.mark.skipif(
                    not hasattr(pl.callbacks, "EMAWeightAveraging"),
                    reason="before Lightning 2.6 the training is not followed beside a search of the learning rate",
                ),
                id=kind.__name__,
            )
            for kind in (pl.callbacks.LearningRateFinder, Finder)
        ),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_others_that_iterate_the_trainings_dataloader_move_no_numbers(other, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = SampleHistory(on_error="raise")
    run = fit(tmp_path, [other(), ours] if first else [ours, other()], model=Witness, data=numbered())
    model = run.lightning_module
    model.seen["train"] = model.seen["train"][-12:]  # without the search's steps
    assert_same(rows(tmp_path, "train"), model.dynamics("train", 48))


class Diverged(TinyNet):
    def forward(self, x):
        return super().forward(x) * torch.nan


def test_a_run_whose_scores_are_not_finite_says_so(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(tmp_path, [SampleHistory()], model=Diverged)
    (ours,) = [str(one.message) for one in caught if "SampleHistory" in str(one.message)]
    assert ours == "SampleHistory follows no samples: the class scores are not finite (NaN or infinite)"


def test_lightnings_csv_logger_has_the_file_too(tmp_path):
    logger = CSVLogger(tmp_path, name="run", version="")
    fit(tmp_path, [SampleHistory(on_error="raise")], logger=logger)
    assert len(rows(tmp_path, "train")) == 48


def test_arguments_are_checked():
    for arguments, message in (
        ({"max_shown": 0}, "max_shown"),
        ({"task": "binary"}, "task"),
        ({"mean": [0.5]}, "mean and std"),
        ({"bands": [1, 2]}, "bands"),
    ):
        with pytest.raises(ValueError, match=message):
            SampleHistory(**arguments)
