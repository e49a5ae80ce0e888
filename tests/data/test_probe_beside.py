"""Taking samples disturbs nothing: no dataset, no random state, no batch."""

import pytest
from helpers.numbered import SKEWED, Labelled, Model, fit, labels_of, load, numbered, numbers, tensors

from lightning_cnnviz.data.probe import Probe


@pytest.mark.parametrize("split", ["val", "train"])
def test_no_dataset_is_read(split):
    train, val = Labelled(labels_of(24), targets=labels_of(24)), Labelled(SKEWED, targets=SKEWED)
    fit(Probe(9, split=split), load(train), load(val), num_sanity_val_steps=0)
    assert train.loaded == list(range(24))  # in order and once, by the trainer alone
    assert val.loaded == list(range(200))


class Transforming(Model):
    """Augments on the device, in training only."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return x + (0.5 if self.trainer.training else 0.25), y


@pytest.mark.parametrize(("split", "shift"), [("val", 0.25), ("train", 0.5)])
def test_samples_are_as_they_leave_the_transforms_on_the_device(split, shift):
    probe = Probe(6, split=split)
    fit(probe, load(tensors(SKEWED)), load(tensors(SKEWED)), model=Transforming())
    assert (probe.samples.inputs[:, 0, 0, 0] % 1 == shift).all()


def test_random_states_are_untouched():
    probes = [Probe(6), Probe(6, split="train")]
    assert fit(probes, load(tensors(SKEWED), shuffle=True), load(tensors(SKEWED))).undisturbed


def test_samples_are_copies_on_the_cpu_without_a_graph():
    x = numbered(8).requires_grad_()
    probes = [Probe(6), Probe(6, split="train")]
    for probe, kind in zip(probes, ("val", "train"), strict=True):
        assert probe.awaits(kind, 0, 0)
        probe.offer(x, labels_of(4, 4), kind, 0)
        probe.end_validation()
    before = [numbers(probe.samples) for probe in probes]
    x.data.fill_(-1)
    assert [numbers(probe.samples) for probe in probes] == before
    for probe in probes:
        assert probe.samples.inputs.device.type == "cpu"
        assert not probe.samples.inputs.requires_grad
        assert (probe.example >= 0).all()
