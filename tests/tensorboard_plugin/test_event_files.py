"""Event files are read as TensorBoard writes them, whole records only, and damage is found."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2
from tensorboard_plugin.synthetic_run import record

from lightning_cnnviz.tensorboard_plugin.event_files import (
    START,
    DamagedRecordError,
    Record,
    event_files,
    glimpse,
    read_event,
    records,
    undamaged_records,
)

TAGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
STEPS = st.integers(-(2**63), 2**63 - 1)


def event(tags, step, wall_time, sizes):
    event = event_pb2.Event(step=step, wall_time=wall_time)
    for tag, size in zip(tags, sizes, strict=False):
        value = event.summary.value.add(tag=tag)
        value.tensor.string_val.append(b"x" * size)
        value.metadata.plugin_data.plugin_name = "cnnviz"
    return event


@given(
    tags=st.lists(TAGS, min_size=1, max_size=3),
    step=STEPS,
    wall_time=st.floats(allow_nan=False),
    sizes=st.lists(st.sampled_from([0, 1, 100, 1000, 100_000]), min_size=3, max_size=3),
)
def test_a_glimpse_tells_what_the_whole_event_holds_or_nothing(tags, step, wall_time, sizes):
    written = event(tags, step, wall_time, sizes)
    data = written.SerializeToString()
    seen = glimpse(Record(0, len(data), data[:START]))
    if seen is not None:
        assert len(tags) == 1
        assert seen == (written.wall_time, written.step, tags[0])
    elif len(tags) == 1:
        assert not 0 < len(tags[0].encode()) < START - 100


@pytest.mark.parametrize(
    "fields",
    [
        {"file_version": "brain.Event:2"},
        {"session_log": {"status": 1}, "step": 3},
        {"summary": {"value": [{"tag": "loss", "simple_value": 1.0}]}},
        {"summary": {"value": [{"tag": "emptied"}]}, "step": 7},
        {"summary": {}},
        {},
    ],
)
def test_other_events_are_left_to_those_who_read_the_whole(fields):
    data = event_pb2.Event(wall_time=1.0, **fields).SerializeToString()
    assert glimpse(Record(0, len(data), data[:START])) is None


@given(st.binary(max_size=100))
def test_no_bytes_break_a_glimpse(data):
    glimpse(Record(0, len(data), data[:START]))


def test_whole_records_are_yielded_and_one_that_is_being_written_is_waited_for():
    events = [event(["a"], step, 1.0, [size]).SerializeToString() for step, size in enumerate([10, 100_000, 0])]
    whole = b"".join(map(record, events))
    found = list(records(io.BytesIO(whole), 0))
    assert [entry.length for entry in found] == [len(data) for data in events]
    for missing in (1, 5, 12, 20):
        part = io.BytesIO(whole[:-missing])
        assert [entry.offset for entry in records(part, 0)] == [entry.offset for entry in found[:2]]
    assert [entry.offset for entry in records(io.BytesIO(whole), found[1].offset)] == [e.offset for e in found[1:]]
    assert read_event(io.BytesIO(whole), found[1].offset).SerializeToString() == events[1]


def test_damage_is_found_wherever_it_is():
    data = event(["a"], 5, 1.0, [2000]).SerializeToString()
    whole = record(data)
    for place in (0, 7, 9, 12, 30, 1000, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        with pytest.raises(DamagedRecordError):
            read_event(io.BytesIO(bytes(damaged)), 0)
    with pytest.raises(DamagedRecordError, match="no record"):
        read_event(io.BytesIO(whole), 7)
    with pytest.raises(DamagedRecordError, match="not an event"):
        read_event(io.BytesIO(record(b"\xff\xff\xff")), 0)
    with pytest.raises(DamagedRecordError, match="length of the record at byte 0"):
        list(records(io.BytesIO(b"\0" * 40), 0))


def test_what_follows_a_damaged_record_is_read_and_each_damage_is_told():
    whole = [record(event([tag], 5, 1.0, [30]).SerializeToString()) for tag in "abcde"]
    for place in (0, 3):  # of these the length is lost, so that nothing tells where the next one begins
        whole[place] = b"\xff" + whole[place][1:]
    told = []
    found = undamaged_records(io.BytesIO(b"".join(whole)), lambda: told.append(1))
    assert [glimpse(one).tag for one in found] == ["b", "c", "e"]
    assert len(told) == 2


def test_event_files_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("events.out.tfevents.2.a.0", "events.out.tfevents.10.a.0", "model.ckpt", "events.out.tfevents.1.b"):
        (tmp_path / name).touch()
    found = [path.rsplit("tfevents.")[1] for path in event_files(str(tmp_path))]
    assert found == ["1.b", "10.a.0", "2.a.0"]
    assert event_files(str(tmp_path / "none")) == []
    memory = f"memory://{tmp_path}"
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open(f"{memory}/events.out.tfevents.3", "wb") as file:
        file.write(record(event(["a"], 5, 1.0, [9]).SerializeToString()))
    (path,) = event_files(memory)
    from lightning_cnnviz.tensorboard_plugin.event_files import open_file

    with open_file(path) as file:
        assert read_event(file, next(records(file, 0)).offset).step == 5
