"""Records in the event file: the bytes TensorBoard would have written, and what a full disk leaves."""

import io

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.output.event_file import EventFile, framed, image_summary, scalar_summary


@pytest.mark.parametrize("size", [0, 1, 7, 1000, 70_000])
def test_records_are_those_of_tensorboard(size):
    data, file = np.random.default_rng(size).bytes(size), io.BytesIO()
    RecordWriter(file).write(data)
    assert framed(data) == file.getvalue()


def test_only_this_file_gets_another_way_to_write(tmp_path):
    before = RecordWriter.write
    mine, other = SummaryWriter(tmp_path / "mine"), SummaryWriter(tmp_path / "other")
    EventFile(mine)
    assert RecordWriter.write is before
    assert "write" in vars(mine._get_file_writer().event_writer._async_writer._writer)
    assert "write" not in vars(other._get_file_writer().event_writer._async_writer._writer)


class Full:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, sink, room):
        self.sink, self.room = sink, room

    def write(self, data):
        self.sink.write(data[: self.room])
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")

    def __getattr__(self, name):
        return getattr(self.sink, name)


def test_on_a_full_disk_records_are_missing_but_the_file_and_other_scalars_live_on(tmp_path):
    board = SummaryWriter(tmp_path)
    board.add_scalar("before", 1.0, 0)
    board.flush()
    file = EventFile(board)
    records = board._get_file_writer().event_writer._async_writer._writer
    disk = file._sink = Full(records._writer, 100)
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    file.write(image_summary("picture", encode(noise)), 1)
    file.flush()
    ((tag, step, error),) = file.losses()
    assert (tag, step, error.errno) == ("picture", 1, 28)
    assert file.losses() == []
    board.add_scalar("of somebody else", 2.0, 1)  # TensorBoard's own writer would have ended
    disk.room = 10_000_000
    file.write(scalar_summary({"after": 3.0}), 2)
    file.flush()
    board.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}["after"] == 3.0
    assert found.Tags()["images"] == []
    assert found.Scalars("before")[0].value == 1.0


def test_whatever_fails_in_our_way_to_write_all_records_are_written_and_an_error_is_told(tmp_path, monkeypatch):
    board = SummaryWriter(tmp_path)
    file = EventFile(board)
    monkeypatch.setattr("lightning_cnnviz.output.event_file.framed", lambda data: {}["broken"])
    file.write(scalar_summary({"ours": 1.0}), 1)
    file.flush()
    board.add_scalar("of somebody else", 2.0, 1)
    board.flush()
    monkeypatch.undo()
    assert [(tag, step, type(error)) for tag, step, error in file.losses()] == [
        ("ours", 1, KeyError),
        ("of somebody else", 1, KeyError),
    ]
    file.write(scalar_summary({"after": 3.0}), 2)
    file.flush()
    board.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    values = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert values == {"ours": 1.0, "of somebody else": 2.0, "after": 3.0}


def test_a_file_that_may_not_be_written_any_more_costs_pictures_only(tmp_path, monkeypatch):
    board = SummaryWriter(tmp_path)
    file = EventFile(board)
    file.write(scalar_summary({"a": 1.0}), 1)
    file.flush()

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file._sink, "write", refused)
    monkeypatch.setattr("os.truncate", refused)
    file.write(scalar_summary({"a": 2.0}), 2)
    file.flush()
    monkeypatch.undo()
    assert [(tag, step, type(error)) for tag, step, error in file.losses()] == [("a", 2, PermissionError)]
    file.write(scalar_summary({"a": 3.0}), 3)
    file.flush()
    board.close()
    assert [event.step for event in EventAccumulator(str(tmp_path)).Reload().Scalars("a")] == [1, 3]
