"""Objects through a pipe: what arrives is what was sent, and what can't be sent is said at once."""

import io
from pathlib import Path

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.worker.channel import MessageChannel, UnsendableError


def test_a_channel_says_what_it_does_not_send():
    channel = MessageChannel(io.BytesIO(), io.BytesIO())
    with pytest.raises(UnsendableError, match="pathlib"):
        channel.send(Path("weights"))
    with pytest.raises(UnsendableError):
        channel.send(lambda: None)


def test_a_channel_carries_arrays_of_any_layout():
    pipe = io.BytesIO()
    arrays = [
        np.asfortranarray(np.random.default_rng(0).random((3, 5))),
        np.zeros((0, 4)),
        np.array(2.5),
        np.arange(9)[::2],
    ]
    MessageChannel(pipe, pipe).send((1, arrays, Encoded(b"png", 2, 3)))
    pipe.seek(0)
    number, received, encoded = MessageChannel(pipe, pipe).receive()
    assert (number, encoded) == (1, Encoded(b"png", 2, 3))
    for sent, got in zip(arrays, received, strict=True):
        np.testing.assert_array_equal(sent, got)
        assert got.flags.writeable


def test_a_channel_that_breaks_off_says_so():
    pipe = io.BytesIO()
    MessageChannel(pipe, pipe).send(np.zeros(100))
    with pytest.raises(EOFError, match="closed"):
        MessageChannel(io.BytesIO(pipe.getvalue()[:-1]), pipe).receive()
