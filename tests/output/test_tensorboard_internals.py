"""Each private part of TensorBoard and of PyTorch's writer alone, so that its failure names what has changed."""

import io
from pathlib import Path

import numpy as np
import pytest
from helpers.internals import broken_by
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz.output import tensorboard_internals as internals
from lightning_cnnviz.output.run_history import replacing

BOARD = "tensorboard"


@pytest.fixture
def board(tmp_path):
    writer = SummaryWriter(tmp_path)
    yield writer
    writer.close()


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0}).Reload()


def test_the_writer_that_is_open_writes_into_the_same_file_as_the_logger(board, tmp_path):
    message = broken_by("torch", "SummaryWriter._get_file_writer")
    file = internals.file_writer(board)
    assert internals.file_writer(board) is file, message
    value = internals.Summary.Value(tag="ours", simple_value=2.0)
    board.add_scalar("theirs", 1.0, 1)
    file.add_summary(internals.Summary(value=[value]), 1)
    file.flush()
    assert len(list(tmp_path.glob("events*"))) == 1, message
    assert set(read(tmp_path).Tags()["scalars"]) == {"ours", "theirs"}, message


def test_after_it_was_closed_the_writer_opens_again(board, tmp_path):
    internals.file_writer(board)
    board.close()
    file = internals.file_writer(board)
    file.add_summary(internals.Summary(value=[internals.Summary.Value(tag="late", simple_value=1.0)]), 1)
    file.flush()
    assert "late" in read(tmp_path).Tags()["scalars"], broken_by("torch", "SummaryWriter._get_file_writer")


def test_the_path_is_that_of_the_file_in_the_folder(board, tmp_path):
    (path,) = tmp_path.glob("events*")
    found = internals.event_path(internals.file_writer(board))
    assert found, broken_by(BOARD, "EventFileWriter._file_name")
    assert Path(found).samefile(path), broken_by(BOARD, "EventFileWriter._file_name")


def test_where_a_release_has_no_such_parts_there_are_none():
    class Bare:
        event_writer = object()

    assert internals.event_path(Bare()) == ""
    assert internals.record_writer(Bare()) is None


def test_what_writes_records_is_found_and_all_that_is_logged_goes_through_it(board, tmp_path):
    message = broken_by(BOARD, "EventFileWriter._async_writer._writer")
    records = internals.record_writer(internals.file_writer(board))
    assert records is not None, message
    seen, write = [], records.write
    records.write = lambda data: (seen.append(bytes(data)), write(data))
    board.add_scalar("loss", 0.25, 3)
    board.flush()
    (event,) = [internals.Event.FromString(data) for data in seen]
    assert (event.step, event.summary.value[0].tag) == (3, "loss"), message


def test_the_record_writer_has_its_file_where_bytes_go(board, tmp_path):
    message = broken_by(BOARD, "RecordWriter._writer")
    board.flush()
    (path,) = tmp_path.glob("events*")
    before = path.read_bytes()
    sink = internals.record_writer(internals.file_writer(board))._writer
    sink.write(b"some bytes")
    sink.flush()
    assert path.read_bytes() == before + b"some bytes", message


# ---- protocol buffers, read back by TensorBoard's public reader


def test_an_image_in_a_summary_is_one_to_tensorboard(board, tmp_path):
    message = broken_by(BOARD, "tensorboard.compat.proto.summary_pb2.Summary.Image")
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5), (1, 2, 3)).save(buffer, "PNG")
    image = internals.Summary.Image(height=5, width=7, colorspace=3, encoded_image_string=buffer.getvalue())
    summary = internals.Summary(value=[internals.Summary.Value(tag="picture", image=image)])
    file = internals.file_writer(board)
    file.add_summary(summary, 9)
    file.flush()
    (event,) = read(tmp_path).Images("picture")
    assert (event.step, event.height, event.width) == (9, 5, 7), message
    assert event.encoded_image_string == buffer.getvalue(), message


def test_a_tensor_of_strings_with_plugin_data_is_one_to_tensorboard(board, tmp_path):
    message = broken_by(BOARD, "tensorboard.compat.proto: SummaryMetadata, TensorProto, TensorShapeProto, DT_STRING")
    plugin = internals.SummaryMetadata.PluginData(plugin_name="cnnviz", content=b"{}")
    metadata = internals.SummaryMetadata(plugin_data=plugin, data_class=internals.DATA_CLASS_BLOB_SEQUENCE)
    shape = internals.TensorShapeProto(dim=[internals.TensorShapeProto.Dim(size=2)])
    tensor = internals.TensorProto(dtype=internals.DT_STRING, string_val=[b"a", b"bc"], tensor_shape=shape)
    value = internals.Summary.Value(tag="data", metadata=metadata, tensor=tensor)
    file = internals.file_writer(board)
    file.add_summary(internals.Summary(value=[value]), 4)
    file.flush()
    found = read(tmp_path)
    (event,) = found.Tensors("data")
    assert event.step == 4, message
    assert list(event.tensor_proto.string_val) == [b"a", b"bc"], message
    assert found.PluginTagToContent("cnnviz") == {"data": b"{}"}, message
    assert found.SummaryMetadata("data").data_class == internals.DATA_CLASS_BLOB_SEQUENCE, message
    from tensorboard.util.tensor_util import make_ndarray

    np.testing.assert_array_equal(make_ndarray(event.tensor_proto), np.array([b"a", b"bc"], dtype=object), message)


def test_in_a_file_of_an_old_version_a_step_that_goes_back_replaces_those_of_its_tag_only(board, tmp_path):
    message = broken_by(BOARD, "_CheckForOutOfOrderStepAndMaybePurge of files of version 1")
    for step in (1, 2, 3):
        board.add_scalar("loss", float(step), step)
        board.add_scalar("theirs", float(step), step)
    queue = internals.record_queue(internals.file_writer(board))
    for record in replacing(["loss"], 1):
        queue.write(record)
    board.add_scalar("loss", 20.0, 2)
    board.add_scalar("theirs", 20.0, 2)
    board.flush()
    found = {tag: [(event.step, event.value) for event in read(tmp_path).Scalars(tag)] for tag in ("loss", "theirs")}
    assert found == {"loss": [(1, 1.0), (2, 20.0)], "theirs": [(1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0)]}, message


def test_the_layout_of_custom_scalars_is_read_back(board):
    layout = internals.Layout.FromString(internals.Layout(version=3).SerializeToString())
    layout.category.add(title="mine").chart.add(title="loss").multiline.tag.append("a")
    assert internals.Layout.FromString(layout.SerializeToString()) == layout


def test_every_name_that_is_passed_on_is_there():
    assert all(hasattr(internals, name) for name in internals.__all__)
