"""Samples are shown under their numbers only where something confirms that batches keep the sampler's order."""

import csv

import torch
from helpers.tiny import TinyData, TinyNet, fit, image_steps, loaders, trainer
from torch.utils.data import DataLoader, default_collate

from lightning_cnnviz import SampleHistory


def rows(folder, split):
    with (folder / "run" / "sample_history.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def sorted_by_brightness(samples):
    return default_collate(sorted(samples, key=lambda sample: float(sample[0].sum())))


class Unnamed(TinyData):
    """A dataset of whose classes nothing is known without loading its samples."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.given = self.targets
        del self.targets

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        return self.images[index] + torch.rand(1), int(self.given[index])


def test_a_split_whose_samples_were_mixed_up_is_forgotten(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("lightning_cnnviz.statistics.sample_follower.rank_zero_info", lines.append)
    train = DataLoader(Unnamed(), 8, shuffle=True, collate_fn=sorted_by_brightness)
    val = DataLoader(TinyData(40, seed=1), 8, collate_fn=sorted_by_brightness)
    fit(tmp_path, [SampleHistory(on_error="raise")], data=(train, val), max_epochs=4)
    assert len(lines) == 3
    assert "'train' are shown as soon as a second pass, in another order, has confirmed their numbers" in lines[0]
    assert "'val' are not followed: batches hold their samples in another order" in lines[1]
    assert "'train' are not followed: sample" in lines[2]
    assert image_steps(tmp_path) == {}
    assert not (tmp_path / "run" / "sample_history.csv").exists()


def collated(samples):
    return default_collate(samples)


def test_where_a_dataset_tells_no_classes_a_second_pass_confirms_the_numbers(tmp_path, monkeypatch):
    """Both splits have one collate function, which so is known in the validation as well."""
    lines = []
    monkeypatch.setattr("lightning_cnnviz.statistics.sample_follower.rank_zero_info", lines.append)
    train = DataLoader(Unnamed(), 8, shuffle=True, collate_fn=collated)
    val = DataLoader(Unnamed(40, seed=1), 8, collate_fn=collated)
    fit(tmp_path, [SampleHistory(on_error="raise")], data=(train, val), max_epochs=3)
    assert [line.partition("samples of ")[2][:7] for line in lines] == ["'train'", "'val' a"]
    for split in ("train", "val"):
        assert image_steps(tmp_path)[f"sample_history/{split}/map"] == [12, 18]
        assert {row["passes"] for row in rows(tmp_path, split)} == {"3"}
    assert [int(row["class"]) for row in rows(tmp_path, "train")] == [number % 4 for number in range(48)]


def test_where_nothing_confirms_the_numbers_no_samples_are_shown(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("lightning_cnnviz.statistics.sample_follower.rank_zero_info", lines.append)

    class Fixed(Unnamed):
        def __getitem__(self, index):
            return self.images[index], int(self.given[index])

    train = DataLoader(Fixed(), 8, collate_fn=sorted_by_brightness)  # in the same order each time
    fit(tmp_path, [SampleHistory(on_error="raise")], data=(train, loaders()[1]), max_epochs=3)
    assert "'train' are not followed: their collate_fn may change the order in a batch" in lines[-1]
    assert len(lines) == 2
    assert {tag.split("/")[1] for tag in image_steps(tmp_path)} == {"val"}
    assert rows(tmp_path, "train") == []


def test_what_has_confirmed_the_numbers_is_known_after_a_resumption(tmp_path):
    data = DataLoader(Unnamed(), 8, shuffle=True, collate_fn=collated), loaders()[1]
    first = fit(tmp_path / "first", [SampleHistory(on_error="raise")], data=data)
    first.save_checkpoint(tmp_path / "last.ckpt")
    again = trainer(tmp_path / "again", [SampleHistory(on_error="raise")], max_epochs=3)
    again.fit(TinyNet(), *data, ckpt_path=tmp_path / "last.ckpt")
    assert image_steps(tmp_path / "again")["sample_history/train/map"] == [18]
    assert {row["passes"] for row in rows(tmp_path / "again", "train")} == {"3"}
