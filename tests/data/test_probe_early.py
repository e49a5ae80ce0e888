"""What a probe shows before the first validation, whether it awaits a batch, and classes that it forgets."""

import pytest
import torch
from helpers.numbered import SKEWED, counts, fit, labels_of, load, numbered, numbers, tensors
from pytorch_lightning import Callback

from lightning_cnnviz.data.probe import Probe

TRAIN, VAL = tensors(labels_of(20, 20), offset=1000), tensors(labels_of(20, 20))


def offer(probe, kind, batch, start=0, count=8, targets=None):
    """Offers samples as a callback does; says whether they were awaited."""
    awaited = probe.awaits(kind, 0, batch)
    if awaited:
        targets = torch.arange(count) % 2 if targets is None else targets
        probe.offer(numbered(count) + start, targets, kind, batch)
    return awaited


# ---- where from


@pytest.mark.parametrize(
    ("split", "validates", "origin"), [("val", True, "val"), ("val", False, "train"), ("train", True, "train")]
)
def test_validation_data_come_first_and_training_data_where_there_are_none(split, validates, origin):
    probe = Probe(4, split=split)
    train = tensors(torch.arange(40) % 2, offset=1000)
    fit(probe, load(train), load(VAL) if validates else None)
    assert [number >= 1000 for number in numbers(probe.samples)] == [origin == "train"] * 4
    assert probe.samples.targets.tolist() == [0, 1, 0, 1]
    assert probe.origin == origin


@pytest.mark.parametrize(("sanity", "origin"), [(2, "val"), (0, "train")])
def test_a_picture_before_the_first_validation_shows_its_sanity_check_or_else_the_training(sanity, origin):
    class Origin(Callback):
        def on_train_end(self, trainer, pl_module):
            self.seen = early.origin

    early, origins = Probe(16), Origin()
    collect = fit(
        early,
        load(TRAIN),
        load(VAL),
        picture_at=(1,),
        num_sanity_val_steps=sanity,
        check_val_every_n_epoch=2,
        callbacks=[origins],
    )
    expected = range(16) if origin == "val" else range(1000, 1016)
    assert sorted(numbers(collect.pictures[0])) == list(expected)
    assert origins.seen == origin
    assert early.version == 0
    assert early.places == []


@pytest.mark.parametrize("sanity", [0, 2])
def test_the_first_validation_replaces_what_was_shown_once(sanity):
    probe, quiet = Probe(6), Probe(6)
    collect = fit(probe, load(TRAIN), load(VAL), picture_at=(0,), num_sanity_val_steps=sanity, max_epochs=3)
    fit(quiet, load(TRAIN), load(VAL), max_epochs=3)
    early, *later = collect.pictures
    assert numbers(early) != numbers(later[0])
    assert later[0] is later[1] is probe.samples
    assert numbers(probe.samples) == numbers(quiet.samples)
    assert (probe.version, quiet.version) == (1, 0)
    assert len(probe.places) == 6
    assert max(numbers(probe.samples)) < 1000


def test_an_early_picture_is_balanced_as_far_as_what_had_gone_by_allows(told):
    probe = Probe(12)
    collect = fit(probe, load(tensors(torch.arange(24) % 3)), load(VAL), picture_at=(0,), num_sanity_val_steps=0)
    assert collect.pictures[0].targets.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    message = "Probe: using 8 samples instead of 12: no more had been loaded when the first picture was due"
    assert message in told()


def test_what_was_shown_early_stays_until_the_validation():
    probe = Probe(12)
    offer(probe, "sanity", 0, count=4)
    first = probe.samples
    assert len(first.inputs) == 4
    assert not offer(probe, "train", 0)
    assert probe.samples is first


def test_samples_of_the_sanity_check_are_not_mixed_with_those_of_the_training():
    probe = Probe(12)
    offer(probe, "sanity", 0)
    assert not offer(probe, "train", 0, start=100)
    assert sorted(numbers(probe.samples)) == list(range(8))


def test_training_samples_are_those_that_went_by_first():
    probe = Probe(12, split="train")
    collect = fit(probe, load(tensors(SKEWED)), load(VAL))
    assert sorted(numbers(probe.samples)) == list(range(12))
    first = probe.samples
    assert [batch for kind, batch in collect.offered if kind == "train"] == [0, 1]
    fit(probe, load(tensors(SKEWED, offset=500)), load(VAL))
    assert probe.samples is first
    assert probe.version == 0
    assert probe.places == []


# ---- what is awaited


def test_before_any_sample_is_known_there_are_none():
    probe = Probe(12)
    assert probe.samples is None
    assert probe.example is None
    assert probe.origin is None
    probe.end_validation()  # without any batch
    assert probe.samples is None


def test_a_batch_that_several_callbacks_offer_is_taken_once():
    for kind in ("sanity", "val", "train"):
        probe = Probe(8)
        taken = [offer(probe, kind, batch, start=4 * batch, count=4) for batch in (0, 0, 1, 1)]
        assert taken == [True, False, True, False]
        probe.end_validation()
        assert sorted(numbers(probe.samples)) == list(range(8))


def test_once_there_are_enough_no_more_early_batches_are_awaited():
    probe = Probe(12)
    assert [offer(probe, "sanity", batch, start=8 * batch) for batch in range(3)] == [True, True, False]
    assert not offer(probe, "train", 0)
    assert offer(probe, "val", 0, start=100)  # of the validation all of it
    assert offer(probe, "val", 1, start=108)
    probe.end_validation()
    assert min(numbers(probe.samples)) >= 100
    assert not any(offer(probe, kind, 5) for kind in ("sanity", "val", "train"))


def test_where_no_picture_is_due_before_the_validation_one_training_batch_is_enough():
    probe = Probe(24)
    collect = fit(probe, load(TRAIN), load(VAL), early=False, num_sanity_val_steps=0)
    assert [batch for kind, batch in collect.offered if kind == "train"] == [0]
    named = Probe(24, inputs=0)
    collect = fit(named, load(TRAIN), load(VAL), early=False, num_sanity_val_steps=0)
    assert {kind for kind, _ in collect.offered} == {"val"}


def test_an_example_is_there_from_the_first_batch_whatever_it_belongs_to():
    probe, images = Probe(4, split="train"), numbered(8) + 50
    assert probe.awaits("sanity", 0, 0)
    probe.offer(images, None, "sanity", 0)
    images.fill_(-1)
    assert torch.equal(probe.example, torch.full((1, 1, 2, 2), 50.0))
    assert probe.samples is None  # they are to come from the training
    assert not offer(probe, "sanity", 1)
    offer(probe, "train", 0)
    assert max(numbers(probe.samples)) < 8
    assert torch.equal(probe.example, probe.samples.inputs[:1])


def test_a_validation_that_starts_again_is_chosen_from_anew():
    probe = Probe(8)
    offer(probe, "val", 0, start=100)  # cut short by an exception
    assert probe.awaits("val", 1, 0)
    probe.offer(numbered(8), torch.zeros(8), "val", 0)
    probe.end_validation()
    assert sorted(numbers(probe.samples)) == list(range(8))


# ---- classes that the loss denies


def test_without_a_place_all_classes_are_forgotten_for_good():
    probe = Probe(8)
    offer(probe, "sanity", 0)
    probe.forget_targets(None)
    assert probe.samples.targets.tolist() == [-1] * 8
    offer(probe, "val", 0)
    probe.end_validation()
    assert probe.samples.targets.tolist() == [-1] * 8


def test_with_a_place_the_classes_of_later_batches_are_right(told):
    probe = Probe(8)
    offer(probe, "sanity", 0, count=4, targets=torch.full((4,), 7))
    probe.forget_targets((None, 1, 2))
    offer(probe, "sanity", 1, start=4, count=4)
    assert probe.samples.targets.tolist() == [-1, 0, 1, -1, 0, 1, -1, -1]
    offer(probe, "val", 0)
    probe.end_validation()
    assert counts(probe.samples.targets) == {0: 4, 1: 4}
    assert "class indices" not in told()


def test_samples_of_a_picture_that_was_shown_lose_their_classes_too():
    probe = Probe(8)
    offer(probe, "sanity", 0)
    inputs = probe.samples.inputs
    probe.forget_targets(("label", 1, 2))
    assert probe.samples.targets.tolist() == [-1] * 8
    assert torch.equal(probe.samples.inputs, inputs)


@pytest.mark.parametrize(("place", "key"), [(("label", 2, 3), "'label'"), ((None, 2, 3), "2")])
def test_after_the_choice_the_user_is_told_to_name_the_place(told, place, key):
    probe = Probe(8)
    offer(probe, "val", 0)
    probe.end_validation()
    probe.forget_targets(place)
    probe.forget_targets(place)  # by another callback
    assert probe.samples.targets.tolist() == [-1] * 8
    assert told().count(f"name their place in a batch with Probe(targets={key})") == 1


def test_classes_whose_place_is_named_or_that_were_passed_stay():
    named, passed = Probe(8, targets=1), Probe.from_tensors(numbered(4), torch.arange(4) % 2)
    offer(named, "sanity", 0)
    for probe in (named, passed):
        before = probe.samples.targets.tolist()
        probe.forget_targets(None)
        assert probe.samples.targets.tolist() == before
        assert min(before) >= 0


def test_classes_from_the_right_place_stay_when_the_next_run_says_the_same():
    probe = Probe(8)
    probe.forget_targets((None, 1, 2))
    offer(probe, "val", 0)
    probe.end_validation()
    probe.forget_targets((None, 1, 2))
    assert counts(probe.samples.targets) == {0: 4, 1: 4}
