"""Random numbers that are drawn within leave no trace in those that come afterwards."""

import random

import numpy as np
import pytest
import torch

from lightning_cnnviz.rng import isolated_rng


def draws():
    return random.random(), random.gauss(0, 1), np.random.random(), np.random.normal(), torch.rand(3).tolist()


def test_random_states_come_back_also_after_an_error():
    def draws():
        return random.random(), np.random.random(), torch.rand(1).item()

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with isolated_rng():
        draws()
    with pytest.raises(ZeroDivisionError, match="division"), isolated_rng():
        draws()[0] / 0
    assert draws() == expected


@pytest.mark.parametrize("before", range(4))
def test_half_used_states_come_back_too(before):
    def after(look):
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        for _ in range(before):
            random.gauss(0, 1), np.random.normal(), torch.randn(1)  # gauss keeps a second number for later
        if look:
            with isolated_rng():
                random.seed(99), np.random.seed(99), torch.manual_seed(99)
                draws()
        return draws()

    assert after(look=True) == after(look=False)


def test_what_is_drawn_within_goes_on_from_the_outer_state():
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    with isolated_rng():
        assert torch.equal(torch.rand(4), expected)
    assert torch.equal(torch.rand(4), expected)


def test_it_can_be_nested():
    outer = torch.get_rng_state()
    with isolated_rng():
        torch.rand(1)
        inner = torch.get_rng_state()
        with isolated_rng():
            torch.manual_seed(0)
        assert torch.equal(torch.get_rng_state(), inner)
    assert torch.equal(torch.get_rng_state(), outer)


def test_generators_of_ones_own_are_left_to_their_owner():
    own, reference = np.random.default_rng(0), np.random.default_rng(0)
    with isolated_rng():
        own.random(3)
    reference.random(3)
    assert own.random() == reference.random()


def test_an_unused_gpu_is_not_woken():
    if torch.cuda.is_initialized():
        pytest.skip("another test has used the GPU")
    with isolated_rng():
        pass
    assert not torch.cuda.is_initialized()
