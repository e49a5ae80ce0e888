"""How a training is set up, read in the hook of a real run."""

import math

import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, fit
from torch.utils.data import DataLoader, IterableDataset, Subset

from lightning_cnnviz.statistics.run_setup import is_half, run_setup


class Setups(pl.Callback):
    """Keeps what a training is set up like as it starts."""

    def on_train_start(self, trainer, pl_module):
        self.found, self.half = run_setup(trainer, pl_module), is_half(trainer, pl_module)


def setup_of(folder, model=TinyNet, data=None, **options):
    kept = Setups()
    fit(folder, [kept], model=model, **({} if data is None else {"data": data}), **options)
    return kept.found


def test_layers_optimizers_and_steps_are_those_of_the_run(tmp_path):
    found = setup_of(tmp_path, max_epochs=2, accumulate_grad_batches=2, gradient_clip_val=0.5)
    assert list(found.layers) == ["conv1", "conv2", "fc1", "fc2"]
    assert all(layer.trainable and layer.optimized for layer in found.layers.values())
    assert (found.planned_steps, found.epoch_steps, found.clip_norm) == (6, 3, 0.5)
    assert found.automatic
    assert len(found.optimizers) == 1


def test_clipping_by_value_is_no_norm(tmp_path):
    assert setup_of(tmp_path, gradient_clip_val=0.5, gradient_clip_algorithm="value").clip_norm == math.inf


def test_order_classes_and_shared_samples_are_told_by_the_dataloaders(tmp_path):
    whole = TinyData(48)
    parts = DataLoader(Subset(whole, range(36)), 4), DataLoader(Subset(whole, range(24, 48)), 4)
    found = setup_of(tmp_path, data=parts)
    assert (found.sequential, found.batch_size, found.class_counts) == (True, 4, (9, 9, 9, 9))
    assert found.shared_samples == 0.5
    assert found.purity == 0.25  # classes take turns
    assert found.has_class_names
    assert math.isnan(setup_of(tmp_path / "again", data=parts, overfit_batches=1).shared_samples)


def test_accumulation_that_changes_leaves_the_number_of_steps_unknown(tmp_path):
    kept, changing = Setups(), pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 2})
    fit(tmp_path, [changing, kept])
    assert kept.found.planned_steps == math.inf


@pytest.mark.parametrize(("kind", "waits"), [("ReduceLROnPlateau", True), ("ConstantLR", False)])
def test_a_scheduler_that_waits_for_plateaus_is_told(kind, waits, tmp_path):
    class Scheduled(TinyNet):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            scheduler = getattr(torch.optim.lr_scheduler, kind)(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}

    assert setup_of(tmp_path, model=Scheduled).waits_for_plateaus == waits


class Streamed(IterableDataset):
    def __iter__(self):
        data = TinyData(24)
        return (data[index] for index in range(24))


def test_of_a_stream_the_number_of_steps_is_known_only_where_it_is_given(tmp_path):
    loaders = DataLoader(Streamed(), 4), None
    assert setup_of(tmp_path / "a", data=loaders, max_epochs=1).planned_steps == math.inf
    assert setup_of(tmp_path / "b", data=loaders, max_epochs=-1, max_steps=5).planned_steps == 5


class Two(TinyNet):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return [torch.optim.SGD(self.fc1.parameters(), 0.1), torch.optim.SGD(self.fc2.parameters(), 0.1, momentum=0.9)]


def test_with_several_optimizers_each_layer_is_optimized_by_any(tmp_path):
    found = setup_of(tmp_path, model=Two)
    assert not found.automatic
    assert [one.momentum for one in found.optimizers] == [0.0, 0.9]
    assert [name for name, layer in found.layers.items() if layer.optimized] == ["fc1", "fc2"]


@pytest.mark.parametrize(("precision", "half"), [("32-true", False), ("bf16-mixed", False), ("16-true", True)])
def test_only_sixteen_bits_with_a_small_range_are_half(precision, half, tmp_path):
    run = pl.Trainer(accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False)
    assert is_half(run, TinyNet()) == half
