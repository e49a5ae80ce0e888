import numpy as np
import pytest
from helpers.logged_pictures import Value, file_of, image_value, log, picture, tensor_value
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2
from tensorboard_plugin.scenes import lenet
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export.logged import Logged
from lightning_cnnviz.tensorboard_plugin.event_files import DamagedRecordError


def rows(logged, tag):
    one = logged.scalars[tag]
    return list(zip(one.steps, one.values, strict=True))


def test_what_tensorboard_reads_of_a_training_is_read(trained, reader):
    logged = Logged(str(trained / "run"))
    assert set(logged.scalars) == set(reader.Tags()["scalars"])
    for tag, one in logged.scalars.items():
        theirs = reader.Scalars(tag)
        assert list(one.steps) == [event.step for event in theirs]
        assert list(one.written) == [event.wall_time for event in theirs]
        np.testing.assert_array_equal(one.values, [event.value for event in theirs])  # NaN equals NaN here
    assert {tag: list(one.steps) for tag, one in logged.pictures.items()} == {
        tag: [event.step for event in reader.Images(tag)] for tag in reader.Tags()["images"]
    }
    assert logged.problems == []


def test_scalars_and_pictures_of_other_loggers_are_read(tmp_path):
    run = Run(tmp_path)
    first, second = (file_of(picture(seed)) for seed in range(2))
    log(run, 1, tensor_value("loss", "scalars", number=0.25), tensor_value("image", "images", [b"30", b"20", first]))
    value = tensor_value("image", "images", [b"30", b"20", first, second])
    value.ClearField("metadata")  # which stands in the first record alone
    log(run, 2, value, image_value("other", second), tensor_value("text", "text", [b"words"]))
    logged = Logged(str(tmp_path))
    assert rows(logged, "loss") == [(1, 0.25)]
    assert set(logged.pictures) == {"image", "other"}
    with logged.reader() as read:
        assert read("image", 1) == [first]
        assert read("image", 2) == [first, second]
        assert read("other", 2) == [second]


def test_a_training_that_went_back_has_its_new_values(tmp_path):
    run = Run(tmp_path)
    for number, step in enumerate((1, 1, 2, 3, 3, 2)):
        log(run, step, Value(tag="loss", simple_value=number), image_value("image", file_of(picture(step))))
    logged = Logged(str(tmp_path))
    assert rows(logged, "loss") == [(1, 0), (1, 1), (2, 5)]  # not the value of the earlier training at step 2
    assert list(logged.pictures["image"].steps) == [1, 2]
    run.event(step=2, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
    log(run, 7, Value(tag="loss", simple_value=0))
    assert rows(Logged(str(tmp_path)), "loss") == [(1, 0), (1, 1), (7, 0)]
    theirs = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in theirs] == [(1, 0), (1, 1), (7, 0)]
    log(run, 1, Value(tag="loss"))
    assert rows(Logged(str(tmp_path)), "loss") == []


def test_damaged_records_cost_themselves_and_are_counted(tmp_path):
    run = Run(tmp_path)
    places = []
    for step in range(5):
        places.append(run.path.stat().st_size)
        log(run, step, Value(tag="loss", simple_value=step), image_value("image", file_of(picture(step))))
    data = bytearray(run.path.read_bytes())
    data[places[1]] ^= 1  # a length
    data[places[3] + 20] ^= 1
    run.path.write_bytes(data + b"\x20\0\0\0")  # a record that is being written
    logged = Logged(str(tmp_path))
    assert rows(logged, "loss") == [(0, 0), (2, 2), (4, 4)]
    assert logged.problems == [f"{run.path.name}: 2 damaged records are left out"]
    data[places[4] + 40] ^= 1  # after it was read
    run.path.write_bytes(data)
    with logged.reader() as read, pytest.raises(DamagedRecordError, match="checksum"):
        read("image", 4)


def test_data_of_the_tab_and_a_folder_without_files_have_none(tmp_path):
    lenet(tmp_path / "run")
    for folder in ("run", "none"):
        logged = Logged(str(tmp_path / folder))
        assert (logged.scalars, logged.pictures) == ({}, {})


def test_values_of_another_kind_than_their_tag_are_left_out_and_told(tmp_path):
    run = Run(tmp_path)
    several, text = tensor_value("several", "scalars", number=1.0), tensor_value("text", "scalars", [b"a"])
    several.tensor.tensor_shape.dim.add(size=10**12)  # of which TensorBoard's reader would make an array
    log(
        run,
        1,
        several,
        text,
        tensor_value("none", "images", [b"30", b"20"]),
        tensor_value("loss", "scalars", number=2),
    )
    logged = Logged(str(tmp_path))
    assert rows(logged, "loss") == [(1, 2)]
    assert set(logged.scalars) == {"loss"}
    assert logged.pictures == {}
    words = "what is neither one number nor a picture is left out"
    assert logged.problems == [f"{tag}: {words}" for tag in ("several", "text", "none")]


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_read(tmp_path):
    log(Run(tmp_path), 1, Value(tag="loss", simple_value=1), image_value("image", file_of(picture(0))))
    (tmp_path / "tfevents.folder").mkdir()
    logged = Logged(str(tmp_path))
    assert rows(logged, "loss") == [(1, 1)]
    assert logged.problems == ["tfevents.folder: it cannot be read: Is a directory."]
    with logged.reader() as read:
        next(tmp_path.glob("events*")).unlink()
        with pytest.raises(DamagedRecordError, match="it cannot be read: No such file"):
            read("image", 1)
