"""The door to the loggers: order, errors, one event file, no thread left."""

import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
from helpers.tiny import TinyNet, events, fit, image_steps, loaders, scalars, trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from lightning_cnnviz import GradientFlow, KernelGrid, LossAccuracy, cnnviz_callbacks
from lightning_cnnviz.callbacks import VisualCallback
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.functional.kernels import select_kernels
from lightning_cnnviz.functional.tab.data import kernel_tab_data
from lightning_cnnviz.output.costs import Account
from lightning_cnnviz.output.event_file import image_summary
from lightning_cnnviz.output.writer import Writer
from lightning_cnnviz.worker.client import Worker


def flat(value):
    return np.full((4, 5, 3), value, dtype=np.uint8)


def opened(folder):
    return trainer(folder), Account("test")


def test_pictures_arrive_in_the_order_they_came_whatever_they_take_to_draw(tmp_path):
    run, account = opened(tmp_path)
    writer = Writer.open(run)

    def slowly(step):
        time.sleep(0.05 if step == 1 else 0)
        return flat(step)

    for step in (1, 2, 3):
        writer.picture(("a", lambda step=step: slowly(step)), step, account)
    writer.scalars({"b": 0.5}, 3, account)
    writer.close(run)
    images = events(tmp_path).Images("a")
    assert [(image.step, image.height, image.width) for image in images] == [(1, 4, 5), (2, 4, 5), (3, 4, 5)]
    assert scalars(tmp_path, "b") == [(3, 0.5)]
    assert account.failures == []


def test_a_picture_that_fails_is_reported_and_the_next_is_drawn(tmp_path):
    run, account = opened(tmp_path)
    writer = Writer.open(run)
    writer.picture(("broken", lambda: 1 / 0), 1, account)
    writer.picture(("fine", lambda: flat(9)), 1, account)
    writer.close(run)
    assert [(type(error), lost) for error, lost in account.failures] == [(ZeroDivisionError, "broken at step 1")]
    assert image_steps(tmp_path) == {"fine": [1]}


def test_drawing_happens_on_another_thread_unless_asked_otherwise(tmp_path):
    run, account = opened(tmp_path)
    writer, where = Writer.open(run), []

    def draw():
        where.append(threading.current_thread())
        return flat(0)

    writer.picture(("later", draw), 1, account)
    writer.picture(("now", draw), 1, account, synchronous=True)
    writer.close(run)
    assert threading.current_thread() in where
    assert len({thread.name for thread in where}) == 2


def test_one_writer_for_all_users_of_a_trainer_until_the_last_closes(tmp_path):
    run, account = opened(tmp_path)
    first, second = Writer.open(run), Writer.open(run)
    assert first is second
    first.picture(("a", lambda: flat(1)), 1, account)
    first.close(run)
    second.picture(("a", lambda: flat(2)), 2, account)
    second.close(run)
    assert image_steps(tmp_path) == {"a": [1, 2]}
    assert Writer.open(run) is not first
    assert not [thread for thread in threading.enumerate() if thread.name == "lightning_cnnviz.Writer"]


def test_many_pictures_at_once_are_all_written(tmp_path):
    run, account = opened(tmp_path)
    writer = Writer.open(run)
    for step in range(100):
        writer.picture(("many", lambda: flat(1)), step, account)
    writer.close(run)
    assert image_steps(tmp_path) == {"many": list(range(100))}


def test_numbers_do_not_wait_for_pictures(tmp_path):
    run, account = opened(tmp_path)
    writer, drawn = Writer.open(run), threading.Event()
    writer.picture(("slow", lambda: flat(drawn.wait(60))), 1, account)
    for step in range(500):  # would never end if they took the room of pictures
        writer.scalars({"a": float(step)}, step, account)
    drawn.set()
    writer.close(run)
    assert account.failures == []
    assert [step for step, _ in scalars(tmp_path, "a")] == list(range(500))


def test_texts_are_written_as_they_are(tmp_path):
    run, account = opened(tmp_path)
    writer = Writer.open(run)
    writer.texts({"table": "| a |\n|---|\n| 1 |", "note": "*b*"}, 3, account)
    writer.close(run)
    (table,) = events(tmp_path).Tensors("table/text_summary")
    assert table.step == 3
    assert table.tensor_proto.string_val[0].decode() == "| a |\n|---|\n| 1 |"
    assert account.failures == []


def test_pixels_survive_the_encoding(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    encoded = image_summary("a", encode(picture)).value[0].image
    import io

    from PIL import Image

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoded.encoded_image_string))), picture)


def test_a_run_has_one_event_file(tmp_path):
    fit(tmp_path, [KernelGrid()])
    assert len(list((tmp_path / "run").glob("events*"))) == 1


def test_several_loggers_get_what_they_can_take(tmp_path):
    boards = [TensorBoardLogger(tmp_path / name, name="run", version="") for name in ("a", "b")]
    numbers = CSVLogger(tmp_path, name="csv", version="")
    fit(tmp_path, [KernelGrid(on_error="raise")], logger=[*boards, numbers])
    for name in ("a", "b"):
        assert image_steps(tmp_path / name)["kernels/conv1"] == [6, 12]
    assert "cnnviz/cost/KernelGrid" in (tmp_path / "csv" / "metrics.csv").read_text()


def test_two_trainers_one_after_the_other(tmp_path):
    for name in ("a", "b"):
        fit(tmp_path / name, [KernelGrid(on_error="raise")])
        assert image_steps(tmp_path / name)["kernels/conv1"] == [6, 12]


def test_fit_twice_with_one_trainer_goes_on(tmp_path):
    run = fit(tmp_path, [KernelGrid(on_error="raise")], max_epochs=1)
    run.fit_loop.max_epochs = 2
    run.fit(run.lightning_module, *loaders())
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]


@pytest.mark.parametrize("steps", [1, 4])
def test_a_step_is_drawn_once_under_accumulation(steps, tmp_path):
    fit(tmp_path, [KernelGrid(every_n_train_steps=1)], model=TinyNet(), accumulate_grad_batches=steps)
    expected = list(range(13)) if steps == 1 else [0, 1, 2, 3, 4]
    assert image_steps(tmp_path)["kernels/conv1"] == expected


def test_a_full_disk_costs_pictures_only(tmp_path, monkeypatch):
    class Full(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            def full(*_):
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(trainer.logger.experiment._get_file_writer(), "add_summary", full)

    with pytest.warns(UserWarning, match="KernelGrid failed to draw; .* No space left on device"):
        run = fit(tmp_path, [Full(), KernelGrid()], log_every_n_steps=1000, model=Quiet())
    assert run.global_step == 12


class Quiet(TinyNet):
    def log(self, *_, **__):
        """Nothing: the module's own logging would stop at the full disk as it does without us."""


def test_two_callbacks_under_one_tag_are_reported(tmp_path):
    with pytest.warns(
        UserWarning, match=r"KernelGrid and KernelGrid-2 both write pictures under the tag 'kernels/conv1'"
    ):
        fit(tmp_path, [KernelGrid(layers="conv1"), KernelGrid(layers="conv1", channel="mean")], max_epochs=1)


def test_callbacks_under_tags_of_their_own_are_not(tmp_path, recwarn):
    fit(tmp_path, [KernelGrid(layers="conv1"), KernelGrid(layers="conv2"), KernelGrid(tag="means", channel="mean")])
    assert not [warning for warning in recwarn if "under the tag" in str(warning.message)]


def test_25_short_epochs_keep_25_of_everything(tmp_path):
    callbacks = cnnviz_callbacks(num_samples=40, every_n_epochs=1)
    fit(tmp_path, callbacks, max_epochs=25, limit_train_batches=2, limit_val_batches=2)
    reader, due = events(tmp_path), list(range(2, 51, 2))
    pictures = {tag: [one.step for one in reader.Images(tag)] for tag in reader.Tags()["images"]}
    records = {tag: [one.step for one in reader.Tensors(tag)] for tag in reader.Tags()["tensors"]}
    starts = ("kernels/", "feature_maps/", "gradient_flow/", "curves/loss", "class_report/confusion", "projection/")
    for start in starts:
        assert any(tag.startswith(start) for tag in pictures), start
    for tag, steps in {**pictures, **records}.items():
        if tag.removeprefix("cnnviz/").startswith(starts) and not tag.endswith("/film"):
            first = [0] if tag.startswith("kernels/") or tag.startswith("cnnviz/kernels/") else []
            assert steps == [*first, *due], tag
    assert {"cnnviz/kernels/conv1", "cnnviz/feature_maps/conv2", "cnnviz/projection/act/tsne"} <= set(records)


class Held(VisualCallback):
    """Pictures of three tags at every step, each of which holds 100,000 bytes, and a record for the tab.

    The first is drawn in this process and takes until training has ended.
    """

    def __init__(self, **options):
        super().__init__(tag="held", every_n_train_steps=1, **options)
        self.ended, self.longest = threading.Event(), 0.0

    def drawings(self, trainer, module):
        def draw(held):
            self.ended.wait(60)
            return held[:48].reshape(4, 4, 3)

        for name in ("a", "b", "c"):
            yield f"{self.tag}/{name}", partial(draw, np.zeros(100_000, dtype=np.uint8))
        yield "cnnviz/kernels/held", partial(kernel_tab_data, select_kernels(np.zeros((2, 1, 3, 3))), "held")

    def on_train_end(self, trainer, pl_module):
        self.ended.set()


def test_where_too_much_waits_it_is_thinned_evenly_and_said_once_and_no_record_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_cnnviz.output.writer.MAX_WAITING_BYTES", 30 * 100_000)
    held = Held()
    with pytest.warns(UserWarning, match="is thinned") as caught:
        fit(tmp_path, [held], max_epochs=10)
    told = [str(one.message) for one in caught if "is thinned" in str(one.message)]
    assert len(told) == 1
    assert "wait, now also for Held" in told[0]
    assert "Held(every_n_epochs=2)" in told[0]
    steps = image_steps(tmp_path)
    assert sorted(steps) == ["held/a", "held/b", "held/c"]
    for tag, found in steps.items():
        assert (found[0], found[-1]) == (1, 60), tag
        gaps = np.diff(found)
        assert max(gaps) <= 2 * min(gaps[:-1]), (tag, found)
    counts = [len(found) for found in steps.values()]
    assert max(counts) - min(counts) <= 1
    assert 30 <= sum(counts) <= 31  # what may wait, and what was being drawn
    assert held.account.dropped == 180 - sum(counts)
    assert len(events(tmp_path).Tensors("cnnviz/kernels/held")) == 60


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_helper_that_is_stopped_holds_no_run_up_and_loses_nothing(tmp_path, monkeypatch):
    class Stop(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            helper = Worker._shared._helper
            if helper is not None and helper.alive:
                os.kill(helper.process.pid, signal.SIGSTOP)

    Worker._shared.run(partial(np.add, 1, 1))
    stopped = Worker._shared._helper
    monkeypatch.setattr("lightning_cnnviz.worker.helper.SILENCE_LIMIT", 2)
    run = fit(tmp_path, [Stop(), KernelGrid()])
    assert run.state.finished
    assert image_steps(tmp_path) == {"kernels/conv1": [6, 12], "kernels/conv2": [6, 12]}
    assert stopped.process.poll() is not None


def test_a_relative_folder_is_where_the_run_began_though_the_script_changes_directory(tmp_path, monkeypatch):
    class Move(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            os.chdir(tmp_path / "elsewhere")

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    fit(tmp_path, [Move(), KernelGrid()], logger=TensorBoardLogger(".", name="run", version=""))
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]
    assert [step for step, _ in scalars(tmp_path, "val_acc")] == [5, 11]  # and so are the module's own
    assert not list((tmp_path / "elsewhere").rglob("events*"))


def test_a_record_that_is_lost_is_told_to_who_logged_it_and_by_its_name(tmp_path, monkeypatch):
    class Full(pl.Callback):
        """A disk that refuses the records of one tag."""

        def on_train_start(self, trainer, pl_module):
            file = trainer.logger.experiment._get_file_writer().event_writer._async_writer._writer._writer
            write = file.write

            def refuse(data):
                if b"kernels/conv2" in data and b"cnnviz/" not in data:
                    raise OSError(28, "No space left on device")
                write(data)

            monkeypatch.setattr(file, "write", refuse)

    with pytest.warns(UserWarning, match="lost") as caught:
        fit(tmp_path, [Full(), KernelGrid(), GradientFlow(), LossAccuracy()])
    told = [str(one.message) for one in caught if "lost" in str(one.message)]
    assert len(told) == 2
    assert "KernelGrid failed to draw; training continues: OSError: [Errno 28] No space left on device" in told[0]
    assert "(lost: kernels/conv2 at step 6;" in told[0]
    assert "KernelGrid also lost kernels/conv2 at step 12" in told[1]
    steps = image_steps(tmp_path)
    assert steps["kernels/conv1"] == steps["gradient_flow/bars"] == steps["curves/loss"] == [6, 12]


def test_what_is_drawn_beside_the_training_thread_is_counted(tmp_path):
    kernels = KernelGrid()
    fit(tmp_path, [kernels])
    assert 0 < kernels.account.background < 60


def test_what_fails_after_its_callback_has_ended_is_told(tmp_path):
    class Slow(VisualCallback):
        def computation(self, trainer, module):
            def fails(run):
                time.sleep(1)
                raise RuntimeError("too late")

            return fails

    with pytest.warns(UserWarning, match="Slow failed to draw; training continues: RuntimeError: too late"):
        fit(tmp_path, [Slow(tag="slow"), KernelGrid()], max_epochs=1)
