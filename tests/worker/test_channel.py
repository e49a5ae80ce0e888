"""Objects through a pipe: what arrives is what was sent, and what can't be sent is said at once."""

import collections
import io
import math
import os
import pickle
import struct
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.functional.drawing.image import to_array
from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.report.write import write_file
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


def sent(value):
    """What arrives at the other end of a real pipe."""
    reader, writer = os.pipe()
    with open(reader, "rb") as source, open(writer, "wb") as sink:
        thread = threading.Thread(target=MessageChannel(source, sink).send, args=(value,))
        thread.start()
        received = MessageChannel(source, sink).receive()
        thread.join()
    return received


@pytest.mark.parametrize(
    "value",
    [None, 3, "ähnlich", b"bytes", (1, [2.5, {"a": None}]), {"deep": [{"er": (True,)}]}, np.float32(2.5), np.int64(3)],
    ids=repr,
)
def test_what_arrives_is_what_was_sent(value):
    received = sent(value)
    assert received == value
    assert type(received) is type(value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int64, np.bool_, np.complex64])
def test_arrays_of_every_dtype_arrive_bit_for_bit(dtype):
    array = np.random.default_rng(0).integers(0, 2, (3, 5)).astype(dtype)
    received = sent({"one": array, "same": array})
    assert received["one"].dtype == array.dtype
    np.testing.assert_array_equal(received["one"], array)
    np.testing.assert_array_equal(received["same"], array)


def test_arrays_larger_than_a_pipe_arrive_whole():
    array = np.random.default_rng(0).random((1000, 700))
    np.testing.assert_array_equal(sent([array, array.T])[1], array.T)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_tensors_arrive_as_arrays_of_the_same_values(dtype):
    tensor = (10 * torch.randn(3, 4)).to(dtype)
    received = sent({"weight": tensor})["weight"]
    assert type(received) is np.ndarray
    np.testing.assert_array_equal(received, tensor.float().numpy() if dtype is torch.bfloat16 else tensor.numpy())


def test_tensors_with_a_history_views_and_parameters_arrive_too():
    parameter = torch.nn.Parameter(torch.randn(4, 3))
    for tensor in (parameter, parameter * 2, parameter.T[1:], parameter.detach()[::2]):
        np.testing.assert_array_equal(sent(tensor), tensor.detach().numpy())
    assert parameter.requires_grad


def test_a_page_can_be_ordered_and_what_is_wrong_with_it_is_told():
    call = sent(partial(write_file, "nowhere", "page.html", layers=["conv1"]))
    assert call.func is write_file
    assert call.args == ("nowhere", "page.html")
    assert str(sent(ReportError("no such run"))) == "no such run"
    assert sent(OSError(28, "No space left", "page.html")).filename == "page.html"


def test_functions_of_ours_and_of_numpy_arrive_with_their_arguments():
    call = sent(partial(to_array, values=np.arange(3)))
    assert call.func is to_array
    assert call().tolist() == [0, 1, 2]
    assert sent(partial(np.add, 1, 2))() == 3
    counter = sent(collections.Counter("aab"))
    assert counter == {"a": 2, "b": 1}


class Mine:
    """A class of a user's script."""


@pytest.mark.parametrize(
    "value",
    [Mine, Mine(), [Mine()], partial(Mine), os.path.join, Path, threading.Lock(), (i for i in ())],
    ids=lambda value: str(value).split(" at ")[0][:40],
)
def test_code_of_others_and_what_has_no_copy_is_refused_before_anything_is_written(value):
    pipe = io.BytesIO()
    with pytest.raises(UnsendableError):
        MessageChannel(pipe, pipe).send((1, value))
    assert pipe.getvalue() == b""


@pytest.mark.parametrize("function", [pickle.dumps, math.sqrt])
def test_functions_of_others_that_are_written_in_c_are_refused_too(function):
    with pytest.raises(UnsendableError):
        MessageChannel(io.BytesIO(), io.BytesIO()).send(function)


def test_names_that_only_begin_as_ours_are_not_ours(monkeypatch):
    monkeypatch.setattr(Mine, "__module__", "numpy_of_somebody_else")
    with pytest.raises(UnsendableError, match="numpy_of_somebody_else"):
        MessageChannel(io.BytesIO(), io.BytesIO()).send(Mine)


def test_what_fails_as_it_is_pickled_is_refused_with_its_words():
    class Refusing(dict):
        def __reduce__(self):
            raise RuntimeError("not to be copied")

    with pytest.raises(UnsendableError, match="not to be copied"):
        MessageChannel(io.BytesIO(), io.BytesIO()).send(Refusing())


def test_messages_of_several_threads_do_not_mix():
    reader, writer = os.pipe()
    arrays = [np.full(50_000, number, dtype=np.int32) for number in range(8)]
    with open(reader, "rb") as source, open(writer, "wb") as sink:
        channel = MessageChannel(source, sink)
        threads = [threading.Thread(target=channel.send, args=(array,)) for array in arrays]
        for thread in threads:
            thread.start()
        received = [channel.receive() for _ in threads]
        for thread in threads:
            thread.join()
    assert sorted(array[0] for array in received) == list(range(8))
    assert all((array == array[0]).all() and len(array) == 50_000 for array in received)


def test_a_message_may_arrive_in_pieces_of_any_size():
    pipe = io.BytesIO()
    MessageChannel(pipe, pipe).send(np.arange(100))

    class Slow(io.BytesIO):
        def readinto(self, view):
            return super().readinto(memoryview(view)[:3])

    np.testing.assert_array_equal(MessageChannel(Slow(pipe.getvalue()), pipe).receive(), np.arange(100))


@pytest.mark.parametrize("kept", [0, 2, 4, 11, 20, -1])
def test_wherever_it_breaks_off_it_says_so(kept):
    pipe = io.BytesIO()
    MessageChannel(pipe, pipe).send({"array": np.zeros(100)})
    with pytest.raises(EOFError):
        MessageChannel(io.BytesIO(pipe.getvalue()[:kept]), pipe).receive()


def test_a_large_array_is_written_from_where_it_lies():
    class Sink(list):
        def write(self, part):
            self.append(part)

        def flush(self):
            pass

    array, sink = np.random.default_rng(0).random(1000), Sink()
    MessageChannel(io.BytesIO(), sink).send(array)
    assert any(np.shares_memory(np.frombuffer(part), array) for part in sink[1:] if len(part) == array.nbytes)
    (count,) = struct.unpack_from("<I", sink[0])
    assert count == len(sink) - 1
