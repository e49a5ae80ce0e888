"""Isolation of the global random states."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Restores the global random states of Python, NumPy and PyTorch (all devices in use) on exit.

    Example:
        >>> before = torch.random.get_rng_state()
        >>> with isolated_rng():
        ...     _ = torch.rand(3)
        >>> torch.equal(torch.random.get_rng_state(), before)
        True
    """
    python, array = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
