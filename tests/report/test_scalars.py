import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard_plugin.scenes import lenet
from tensorboard_plugin.synthetic_run import record

from lightning_cnnviz.report.scalars import scalars


def event(step, tag, value):
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
    return record(event_pb2.Event(step=step, wall_time=step, summary=summary).SerializeToString())


def test_the_last_value_and_the_sum_of_each_tag_are_read_from_all_files(tmp_path):
    (tmp_path / "events.out.tfevents.1").write_bytes(event(1, "loss", 2.0) + event(2, "loss", 0.5) + event(2, "x", 7))
    (tmp_path / "events.out.tfevents.2").write_bytes(event(3, "x", 1.0))
    found = scalars(str(tmp_path))
    assert {tag: (one.last, one.total) for tag, one in found.items()} == {"loss": (0.5, 2.5), "x": (1.0, 8.0)}


def test_damaged_records_and_an_unfinished_one_cost_themselves_only(tmp_path):
    good = [event(step, f"v{step}", float(step)) for step in range(5)]
    length, checksum = bytearray(good[1]), bytearray(good[3])
    length[0] ^= 1
    checksum[-1] ^= 1
    whole = good[0] + length + good[2] + checksum + good[4]
    (tmp_path / "events.out.tfevents.1").write_bytes(whole + event(9, "late", 1.0)[:-3])
    assert list(scalars(str(tmp_path))) == ["v0", "v2", "v4"]


def test_pictures_and_the_data_of_the_tab_are_no_scalars(tmp_path):
    lenet(tmp_path)
    assert scalars(str(tmp_path)) == {}


def test_a_run_that_is_gone_has_none(tmp_path):
    assert scalars(str(tmp_path / "none")) == {}
    assert scalars(str(tmp_path)) == pytest.approx({})
