"""What takes the place of things that cannot be copied behaves like them, or refuses to be used."""

import gc
import threading
import weakref
from functools import lru_cache

import numpy as np
import pytest
from torch import nn

from lightning_cnnviz.errors import NotRunAgainError
from lightning_cnnviz.model.independent_copy import independent_copy
from lightning_cnnviz.model.stand_ins import OutOfReach, TwinReference, read_only, stand_in, twin_reference


@pytest.mark.parametrize(
    "use", [next, iter, len, list, lambda it: it.send(None), lambda it: it[0], lambda it: it()], ids=range(7)
)
def test_every_use_of_what_is_out_of_reach_raises_an_error_that_names_it(use):
    with pytest.raises(NotRunAgainError, match="a generator object, which cannot be copied"):
        use(stand_in(number for number in range(3)))


def test_a_file_that_is_written_to_is_silent_and_one_that_is_read_is_out_of_reach(tmp_path):
    path = tmp_path / "notes"
    with path.open("w") as file:
        print("mine", file=file)
        print("not written", file=stand_in(file))
    with path.open() as file:
        assert isinstance(stand_in(file), OutOfReach)
        assert file.read() == "mine\n"
    assert stand_in(file) is file, "a closed one does nothing anyway"


def test_what_nothing_can_change_by_using_it_stays():
    lock = threading.Lock()
    assert stand_in(lock) is lock


def test_a_reference_is_bound_to_the_twin_or_keeps_its_target_where_there_is_none():
    net, twin, other = nn.ReLU(), nn.Tanh(), nn.GELU()
    first, second = twin_reference(weakref.ref(net)), twin_reference(weakref.ref(other))
    for reference in (first, second):
        reference.bind({id(net): twin})
    assert isinstance(first, weakref.ref)
    assert (first(), second()) == (twin, other)
    del twin
    assert first() is None, "it holds nothing"


def test_a_reference_to_what_is_gone_has_no_twin():
    gone, proxy = weakref.ref(nn.ReLU()), weakref.proxy(nn.ReLU())
    gc.collect()
    assert twin_reference(gone) is None
    assert twin_reference(proxy) is None


def test_a_proxy_reads_writes_and_calls_the_twin():
    net, twin = nn.Linear(2, 2), nn.Identity()
    proxy = twin_reference(weakref.proxy(net))
    proxy.bind({id(net): twin})
    proxy.calls = 3
    assert (twin.calls, proxy.calls, proxy(5)) == (3, 3, 5)
    assert not hasattr(net, "calls")


def test_an_array_is_shared_but_not_written_to():
    array = np.zeros(3)
    with pytest.raises(ValueError, match="read-only"):
        read_only(array)[0] = 1
    array[0] = 2
    assert read_only(array)[0] == 2


def test_a_cached_method_keeps_no_copy_alive():
    class Cached(nn.Module):
        @lru_cache  # noqa: B019 - the slip in question
        def scale(self, size):
            return 2 * size

    net = Cached()
    copied = independent_copy(net)
    assert (copied.scale(3), net.scale(4)) == (6, 8)
    assert Cached.scale.cache_info().currsize == 1
    alive = TwinReference(copied)
    alive.bind({})
    del copied
    assert alive() is None
