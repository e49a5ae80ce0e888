import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from lightning_cnnviz.data.sampler_listener import SamplerListener

DATA = TensorDataset(torch.arange(50))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(10))


def listened(loader, listener):
    """Batches of a loader, and what is heard of them."""
    listener.attach(loader)
    batches = iter(loader)
    listener.detach()
    numbers = listener.numbers()
    for index, (batch,) in enumerate(batches):
        yield batch.tolist(), list(numbers.of(index, len(batch)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True},
        {"shuffle": True, "drop_last": True},
        {"sampler": WeightedRandomSampler([1.0] * 50, 30)},
        {"shuffle": True, "generator": torch.Generator().manual_seed(3)},
    ],
    ids=["shuffled", "drop last", "drawn again", "own generator"],
)
def test_what_is_heard_is_what_the_batches_hold_in_every_epoch(options, workers):
    more = {"num_workers": workers, "persistent_workers": workers > 0}
    loader, listener = DataLoader(DATA, 8, **options, **more), SamplerListener()
    for _ in range(2):
        pairs = list(listened(loader, listener))
        listener.forget()
        assert len(pairs) == len(loader)
        assert all(held == heard for held, heard in pairs)


def test_the_order_and_the_random_state_are_those_of_a_loader_nobody_listens_to():
    torch.manual_seed(5)
    bare = [batch.tolist() for (batch,) in DataLoader(DATA, 8, shuffle=True)]
    after = torch.get_rng_state()
    torch.manual_seed(5)
    heard = [batch for batch, _ in listened(DataLoader(DATA, 8, shuffle=True), SamplerListener())]
    assert heard == bare
    assert torch.equal(torch.get_rng_state(), after)


def test_nobody_can_tell_the_listening_sampler_from_the_own_one():
    class Own(BatchSampler):
        epoch = 0

    own = Own(RandomSampler(DATA), 8, False)
    loader, listener = DataLoader(DATA, batch_sampler=own), SamplerListener()
    listener.attach(loader)
    assert listener.attached
    assert loader.batch_sampler is not own
    assert isinstance(loader.batch_sampler, Own)
    assert loader.batch_sampler.sampler is own.sampler
    assert len(loader) == len(own)
    loader.batch_sampler.epoch = 3
    assert own.epoch == 3
    for copied in (copy.deepcopy(loader), pickle.loads(pickle.dumps(DataLoader(DATA, 8)))):
        assert type(copied.batch_sampler) in (Own, BatchSampler)
    listener.attach(loader)  # again, as by a second callback
    listener.detach()
    assert loader.batch_sampler is own
    listener.detach()
    assert loader.batch_sampler is own


def test_an_iterator_that_was_left_is_not_mistaken_for_the_one_that_runs():
    loader, listener = DataLoader(DATA, 8, shuffle=True), SamplerListener()
    listener.attach(loader)
    left = iter(loader)
    next(left)
    batches = iter(loader)
    next(left)
    listener.detach()
    numbers = listener.numbers()
    assert all(batch.tolist() == list(numbers.of(index, len(batch))) for index, (batch,) in enumerate(batches))
    listener.forget()
    assert listener.numbers().of(0, 8) is None


class Strategy:
    def process_dataloader(self, loader):
        return loader


def running(**parts):
    """A trainer between two hooks."""
    return SimpleNamespace(lightning_module=SimpleNamespace(_current_fx_name=None), **parts)


@pytest.mark.parametrize("found_in", [None, "on_fit_start"], ids=["in the fit", "after a search for a learning rate"])
def test_an_iterator_that_another_callback_begins_is_not_taken_for_the_trainings_own(found_in):
    trainer = running(strategy=Strategy(), training=True)
    listener = SamplerListener.watching(trainer)
    loader = DataLoader(DATA, 8, shuffle=True)
    trainer.lightning_module._current_fx_name = found_in
    batches = iter(trainer.strategy.process_dataloader(loader))
    trainer.lightning_module._current_fx_name = "on_train_start"
    assert len(list(loader)) == 7
    numbers = listener.numbers()
    assert all(batch.tolist() == list(numbers.of(index, len(batch))) for index, (batch,) in enumerate(batches))
    trainer.lightning_module._current_fx_name = "on_train_epoch_start"
    listener.attach(loader)  # of the next epoch
    trainer.lightning_module._current_fx_name = None
    batches = iter(loader)
    trainer.lightning_module._current_fx_name = "on_train_batch_start"
    next(iter(loader))
    listener.detach()
    assert next(batches)[0].tolist() == listener.numbers().of(0, 8)


def test_where_all_share_one_iterator_nothing_is_known_after_another_callback_has_begun_it_anew():
    trainer = running(strategy=Strategy(), training=True)
    listener = SamplerListener.watching(trainer)
    loader = DataLoader(DATA, 8, shuffle=True, num_workers=1, persistent_workers=True)
    iter(trainer.strategy.process_dataloader(loader))
    numbers = listener.numbers()
    trainer.lightning_module._current_fx_name = "on_train_start"
    iter(loader)
    assert numbers.of(0, 8) is None


def test_the_first_iterator_of_a_training_begins_before_any_hook():
    """As Lightning does: it hands the loader to its strategy, and iterates at once."""
    trainer = running(strategy=Strategy(), training=True)
    listener = SamplerListener.watching(trainer)
    assert SamplerListener.watching(trainer) is listener  # as by a second callback
    loader = DataLoader(DATA, 8, shuffle=True)
    own = loader.batch_sampler
    trainer.training = False
    trainer.strategy.process_dataloader(loader)
    assert not listener.attached  # a validation's
    trainer.training = True
    batches = iter(trainer.strategy.process_dataloader(loader))
    listener.detach()
    assert vars(trainer.strategy) == {}
    assert loader.batch_sampler is own
    numbers = listener.numbers()
    assert next(batches)[0].tolist() == numbers.of(0, 8)


def test_what_has_no_batch_sampler_is_left_alone():
    loader, listener = DataLoader(Stream(), batch_size=None), SamplerListener()
    listener.attach(loader)
    listener.attach([1, 2])
    assert not listener.attached
    assert list(loader) == list(range(10))


def test_a_copy_of_a_listener_listens_to_nothing():
    loader, listener = DataLoader(DATA, 8, shuffle=True), SamplerListener()
    listener.attach(loader)
    assert not pickle.loads(pickle.dumps(listener)).attached
    listener.detach()
