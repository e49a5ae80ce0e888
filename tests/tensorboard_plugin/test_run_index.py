"""The index of a run: kept up with what is appended, with what was lost, and with damage; and which runs are read."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.compat.proto import event_pb2
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter
from tensorboard.errors import NotFoundError
from tensorboard.plugins.base_plugin import TBContext
from tensorboard_plugin.scenes import without
from tensorboard_plugin.synthetic_run import Run, record, write

from lightning_cnnviz.output.run_history import replacing
from lightning_cnnviz.tensorboard_plugin.frames import Frame
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex
from lightning_cnnviz.tensorboard_plugin.runs import Runs

TAG = "cnnviz/kernels/conv1"


@contextmanager
def opened():
    """Notes the files that are opened, as the interpreter reports them."""
    paths = set()

    def hook(name, arguments):
        if name == "open" and paths is hook.paths:
            paths.add(str(arguments[0]))

    hook.paths = paths
    sys.addaudithook(hook)
    yield paths
    hook.paths = None


def values(index, tag=TAG):
    """Step → the arrays' values, or the error."""
    steps = index.series()[tag].steps
    return {
        step: frame.arrays["values"] if isinstance(frame, Frame) else frame
        for step, _, frame in index.frames(tag, steps)
    }


def add(run, steps, value=0.0, tag=TAG):
    for step in steps:
        run.add(
            "kernels", tag, step, {"values": np.full((40, 5, 5), value + step, np.float32)}, identity={"layer": tag}
        )
    return run


def multiplexer(folder):
    found = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"cnnviz": 0})
    found.AddRunsFromDirectory(str(folder))
    found.Reload()
    return found


def as_tensorboard_reads(folder):
    """Tag → step → wall time, by TensorBoard's loader in Python."""
    provider = data_provider.MultiplexerDataProvider(multiplexer(folder), str(folder))
    read = provider.read_blob_sequences(
        RequestContext(),
        experiment_id="",
        plugin_name="cnnviz",
        downsample=10**9,
        run_tag_filter=RunTagFilter(["run"]),
    )
    return {tag: {point.step: point.wall_time for point in points} for tag, points in read["run"].items()}


def as_indexed(index):
    return {tag: dict(zip(series.steps, series.written, strict=True)) for tag, series in index.series().items()}


def test_it_is_what_tensorboard_reads(tmp_path):
    run = write(tmp_path / "run", epochs=5, samples=20)
    index = RunIndex(str(tmp_path / "run"))
    assert as_indexed(index) == as_tensorboard_reads(tmp_path)
    write(None, epochs=7, epoch_list=[6, 7], samples=20, run=run)
    assert as_indexed(index) == as_tensorboard_reads(tmp_path)


def test_a_resumed_training_takes_the_place_of_what_was_lost(tmp_path):
    first = write(tmp_path / "run", epochs=5, samples=20)
    index = RunIndex(str(tmp_path / "run"))
    before = index.series()[TAG].since
    second = Run(tmp_path / "run", start=first.time + 1000)
    tags = sorted(index.series())
    for data in replacing(tags, 200):  # what the callbacks write when a run goes on from step 200
        second.file.write(record(data))
    assert index.series()[TAG].steps.tolist() == [100, 200]
    write(None, epochs=5, epoch_list=[3, 4], samples=20, run=second, seed=9)
    series = index.series()[TAG]
    series_since = list(series.since)
    assert series.steps.tolist() == [100, 200, 300, 400]
    assert series.since[0] == before[0]
    assert [step for step, *_ in series.since[1:]] == [201]
    for data in replacing(tags, 200):  # and once more
        second.file.write(record(data))
    write(None, epochs=5, epoch_list=[3, 4], samples=20, run=second, seed=10)
    again = index.series()[TAG]
    assert again.steps.tolist() == [100, 200, 300, 400]
    assert again.since[0] == before[0]
    assert [step for step, *_ in again.since[1:]] == [201]
    assert again.since != series_since
    assert first.time >= series.written[1]
    assert series.written[2] > second.time - 100
    assert as_indexed(index) == as_tensorboard_reads(tmp_path) == as_indexed(RunIndex(str(tmp_path / "run")))


def test_a_training_that_goes_back_drops_what_is_later(tmp_path):
    run = add(Run(tmp_path), [100, 200, 300])
    index = RunIndex(str(tmp_path))
    assert index.series()[TAG].steps.tolist() == [100, 200, 300]
    lost = run.time
    add(run, [200], 7)
    series = index.series()[TAG]
    assert series.steps.tolist() == [100, 200]
    assert [each[:2] for each in series.since] == [(100, series.written[0]), (200, run.time)]
    assert lost < run.time
    assert values(index)[200][0, 0, 0] == 207
    run.event(step=100, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
    assert index.series()[TAG].steps.tolist() == []
    add(run, [150])
    assert index.series()[TAG].steps.tolist() == [150]


def test_a_run_that_is_deleted_or_trained_anew(tmp_path):
    add(Run(tmp_path / "run"), [100, 200]).close()
    index = RunIndex(str(tmp_path / "run"))
    before = index.series()[TAG].since
    version = index.version
    shutil.rmtree(tmp_path / "run")
    assert index.series() == {}
    assert index.version > version
    add(Run(tmp_path / "run", start=1_800_000_000.0), [100], 5).close()
    assert index.series()[TAG].since != before
    assert values(index)[100][0, 0, 0] == 105


def test_a_damaged_record_costs_itself_only(tmp_path):
    run = add(Run(tmp_path), range(100, 1100, 100))
    add(run, [1100], tag="cnnviz/kernels/conv2").close()
    whole = run.path.read_bytes()
    offsets = [whole.index(np.full(3, step, np.float32).tobytes()) for step in range(100, 1100, 100)]
    starts = [whole.rindex(b"cnnviz/kernels/conv1", 0, offset) for offset in offsets]

    def damaged(*places, sign=1):
        data = bytearray(whole)
        for place in places:
            data[place] ^= sign
        run.path.write_bytes(data)
        index = RunIndex(str(tmp_path))
        return index, values(index)

    index, found = damaged(offsets[3] + 5, offsets[7] + 50)
    assert list(found) == list(range(100, 1100, 100))
    assert {step for step, frame in found.items() if isinstance(frame, str)} == {400, 800}
    assert found[400] == "cnnviz/kernels/conv1 at step 400 is damaged: its checksum does not match"
    assert found[500][0, 0, 0] == 500
    assert list(values(index, "cnnviz/kernels/conv2")) == [1100]
    assert index.problems == []
    # In the first record, with the metadata; in a tag; in a step, which goes back from 900 to 4 and must drop nothing.
    _, found = damaged(starts[0] + 30)
    assert [step for step, frame in found.items() if not isinstance(frame, str)][-9:] == list(range(200, 1100, 100))
    _, found = damaged(starts[4] + 18)
    assert list(found) == [100, 200, 300, 400, 600, 700, 800, 900, 1000]
    step = whole.index(b"\x10\x84\x07", starts[7])  # 900 as a varint
    _, found = damaged(step + 2, sign=7)
    assert list(found) == [100, 200, 300, 400, 500, 600, 700, 800, 1000]


def test_a_damaged_length_costs_its_record_only(tmp_path):
    run = add(Run(tmp_path), [100, 200])
    place = run.path.stat().st_size
    add(run, [300])
    end = run.path.stat().st_size
    add(run, [400, 500])
    whole = bytearray(run.path.read_bytes())
    whole[place + 1] ^= 1
    run.path.write_bytes(whole)
    index = RunIndex(str(tmp_path))
    assert list(values(index)) == [100, 200, 400, 500]
    name = run.path.name
    assert index.problems == [
        f"{name}: the length of the record at byte {place} is damaged; some records are missing here."
    ]
    version = index.version
    add(run, [600]).close()
    assert list(values(index)) == [100, 200, 400, 500, 600]
    assert index.version == version + 1
    run.path.write_bytes(whole[:end])  # with nothing after it
    index = RunIndex(str(tmp_path))
    assert list(values(index)) == [100, 200]
    assert index.problems == [
        f"{name}: the length of the record at byte {place} is damaged; what follows is missing here."
    ]
    run.path.write_bytes(bytes(whole[:end]) + b"\0" * 10**6)  # as after a loss of power
    assert list(values(index)) == [100, 200]


def test_other_events_cost_nothing(tmp_path):
    run = Run(tmp_path)
    run.event(
        step=1, summary={"value": [{"tag": "loss", "simple_value": 1.0}, {"tag": "images", "image": {"width": 1}}]}
    )
    add(run, [1]).close()
    index = RunIndex(str(tmp_path))
    assert list(index.series()) == [TAG]
    assert list(values(index)) == [1]


@pytest.fixture
def logs(tmp_path):
    for name in ("a", "b", "c/d"):
        add(Run(tmp_path / "logs" / name), [100, 200]).close()
    without(tmp_path / "logs" / "bare")
    return tmp_path / "logs"


def context(logs):
    found = multiplexer(logs)
    provider = data_provider.MultiplexerDataProvider(found, str(logs))
    return TBContext(data_provider=provider, logdir=str(logs))  # as with the fast loader, without a multiplexer


def test_only_the_runs_that_are_looked_at_are_read(logs):
    runs = Runs(context(logs))
    with opened() as paths:
        ours, others = runs.listed(RequestContext(), "")
        assert ([run["name"] for run in ours], others) == (["a", "b", "c/d"], ["bare"])
        assert not [path for path in paths if "tfevents" in path]
        assert runs.index("c/d").series()[TAG].steps.tolist() == [100, 200]
        assert next(runs.index("b").frames(TAG, [200]))[0] == 200
    assert {Path(path).parent.name for path in paths if "tfevents" in path} == {"d", "b"}


def test_a_run_that_is_known_is_not_listed_again(logs):
    reads = context(logs)
    asked, original = [], reads.data_provider.list_blob_sequences
    reads.data_provider.list_blob_sequences = lambda *arguments, run_tag_filter, **options: (
        asked.append(set(run_tag_filter.runs)) or original(*arguments, run_tag_filter=run_tag_filter, **options)
    )
    runs = Runs(reads)
    for _ in range(3):
        runs.listed(RequestContext(), "")
    assert asked == [{"a", "b", "c/d", "bare"}, {"bare"}, {"bare"}]


def test_several_log_directories_have_names(tmp_path):
    found = plugin_event_multiplexer.EventMultiplexer()
    for name, value in (("first", 1), ("second", 2)):
        add(Run(tmp_path / f"logs of {name}" / "run"), [100], value).close()
        found.AddRunsFromDirectory(str(tmp_path / f"logs of {name}"), name)
    found.Reload()
    provider = data_provider.MultiplexerDataProvider(found, "")
    runs = Runs(TBContext(data_provider=provider, multiplexer=found))  # as with `--logdir_spec`
    assert [run["name"] for run in runs.listed(RequestContext(), "")[0]] == ["first/run", "second/run"]
    assert values(runs.index("second/run"))[100][0, 0, 0] == 102
    with pytest.raises(NotFoundError):
        runs.index("third/run")


@pytest.mark.parametrize("name", ["../other", "a/../../other", "/etc", ".."])
def test_no_name_leads_out_of_the_log_directory(logs, name):
    add(Run(logs.parent / "other"), [100]).close()
    with pytest.raises(NotFoundError):
        Runs(context(logs)).index(name)


def test_memory_is_bounded_whatever_is_asked_for(logs, monkeypatch):
    runs = Runs(context(logs))
    for number in range(1000):
        assert runs.index(f"none{number}").series() == {}
    assert not runs._indices
    monkeypatch.setattr("lightning_cnnviz.tensorboard_plugin.runs.MAX_INDEX_BYTES", 15_000)
    first = runs.index("a")
    first.series()
    assert runs.index("a") is first
    for name in ("b", "c/d", "b"):
        runs.index(name).series()
    assert list(runs._indices) == ["c/d", "b"]
    assert runs.index("a") is not first


def test_a_file_that_cannot_be_read_is_told_until_it_can(tmp_path):
    add(Run(tmp_path), range(3)).close()
    odd = tmp_path / "z.tfevents"
    odd.mkdir()
    index = RunIndex(str(tmp_path))
    assert list(index.series()[TAG].steps) == [0, 1, 2]
    assert index.problems == ["z.tfevents: it cannot be read: Is a directory."]
    version = index.version
    index.series()
    assert index.version == version
    odd.rmdir()
    odd.write_bytes(b"")
    index.series()
    assert index.problems == []
