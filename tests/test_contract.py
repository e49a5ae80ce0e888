"""The guarantees, over every exported callback: to be in `__all__` is to be tested here."""

import contextlib
import copy
import csv
import io
import json
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.plane import PlaneNet, plane_loaders
from helpers.tiny import NumbersLogger, TinyData, TinyNet, events, image_steps, loaders, scalars, trainer
from helpers.tiny import fit as fit_model
from PIL import Image

import lightning_cnnviz
from lightning_cnnviz import CostLimit, Diagnosis, KernelGrid, RunReport
from lightning_cnnviz.callbacks.base import VisualCallback
from lightning_cnnviz.functional.class_report import confusion_matrix_chart
from lightning_cnnviz.functional.diagnosis.finding import Finding
from lightning_cnnviz.report.write import write_report

EXPORTED = [
    exported
    for exported in (getattr(lightning_cnnviz, name) for name in lightning_cnnviz.__all__)
    if isinstance(exported, type) and issubclass(exported, VisualCallback)
]
AT_VALIDATIONS = {
    lightning_cnnviz.ClassReport,
    lightning_cnnviz.MaximallyActivatingPatches,
    lightning_cnnviz.SampleHistory,
}
"""Draw as a validation, or another pass, ends, if a picture became due since the last one."""
every_callback = pytest.mark.parametrize("kind", EXPORTED, ids=lambda kind: kind.__name__)
OF_THE_PLANE = {"InputPartition"}
"""Callbacks that want two inputs."""


class BrokenError(Exception):
    pass


def subject(*kinds):
    """A model that callbacks can show, and its data."""
    plane = any(kind.__name__ in OF_THE_PLANE for kind in kinds)
    return (PlaneNet, plane_loaders) if plane else (TinyNet, loaders)


def made(kind, **options):
    """A callback; of one layer, where it has many pictures for each."""
    return kind(**{"layers": ["fc1"]} if kind.__name__ in OF_THE_PLANE else {}, **options)


def fit(folder, callbacks, model=None, **options):
    """Trains a model that the callbacks can show."""
    net, data = subject(*map(type, callbacks))
    return fit_model(folder, callbacks, model=model or net, data=data(), **options)


def failing(kind: type, where: str) -> type:
    """The callback, failing while it looks at the model or, later, while it draws."""

    def fails(*_):
        raise BrokenError("no picture today")

    def drawings(self, *_):
        yield "broken", fails

    return type(kind.__name__, (kind,), {"drawings": fails if where == "looking" else drawings})


def fingerprint(run: pl.Trainer) -> dict[str, object]:
    """All that a training leaves behind, as bytes."""
    model, optimizer = run.lightning_module, run.optimizers[0]
    state = optimizer.state_dict()["state"]
    states = {f"{group}.{key}": value for group, part in state.items() for key, value in part.items()}
    tensors = {**model.state_dict(), **states, "torch": torch.get_rng_state()}
    numpy_state = np.random.get_state()
    return {
        **{name: torch.as_tensor(value).numpy().tobytes() for name, value in tensors.items()},
        "modes": [module.training for module in model.modules()],
        "numpy": (numpy_state[1].tobytes(), *numpy_state[2:]),
        "python": random.getstate(),
    }


@pytest.fixture(scope="module", params=[1, 4], ids=lambda n: f"accumulate {n}")
def bare(request, tmp_path_factory):
    """What a training without callbacks leaves behind."""
    options = {"accumulate_grad_batches": request.param}
    return options, {
        net: fingerprint(fit_model(tmp_path_factory.mktemp("bare"), model=net, data=data(), **options))
        for net, data in ((TinyNet, loaders), (PlaneNet, plane_loaders))
    }


@every_callback
@pytest.mark.parametrize("when", [{"every_n_epochs": 1}, {"every_n_train_steps": 1}], ids=["epochs", "steps"])
def test_1_training_is_untouched(kind, when, bare, tmp_path):
    options, expected = bare
    run = fit(tmp_path, [made(kind, **when, on_error="raise")], **options)
    assert image_steps(tmp_path), "a callback that draws nothing proves nothing"
    assert fingerprint(run) == expected[type(run.lightning_module)]


@every_callback
@pytest.mark.parametrize("where", ["looking", "drawing"])
def test_1_and_2_a_failing_picture_leaves_training_untouched_and_warns_once(kind, where, bare, tmp_path):
    options, expected = bare
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(tmp_path, [failing(kind, where)(every_n_train_steps=1)], **options)
    ours = [str(warning.message) for warning in caught if "no picture today" in str(warning.message)]
    assert len(ours) == 1
    assert kind.__name__ in ours[0]
    assert fingerprint(run) == expected[type(run.lightning_module)]


@every_callback
@pytest.mark.parametrize("where", ["looking", "drawing"])
def test_2_errors_come_through_where_asked_for(kind, where, tmp_path):
    with pytest.raises(BrokenError):
        fit(tmp_path, [failing(kind, where)(every_n_train_steps=1, on_error="raise")])


@every_callback
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_n_epochs": 0}, "at least 1, got 0"),
        ({"every_n_train_steps": -3}, "at least 1, got -3"),
        ({"every_n_epochs": 1, "every_n_train_steps": 1}, "got both"),
        ({"every_n_epochs": 1.5}, "whole number, got 1.5"),
        ({"on_error": "ignore"}, '"warn" or "raise"'),
        ({"layers": 3}, "list of names, got 3"),
        ({"layers": []}, "list of names or None"),
        ({"tag": ""}, "tag"),
    ],
    ids=str,
)
def test_2_bad_arguments_fail_when_the_callback_is_made(kind, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**arguments)


@every_callback
def test_2_layers_that_match_nothing_fail_before_the_first_step(kind, tmp_path):
    model = subject(kind)[0]()
    with pytest.raises(ValueError, match=r"layers='conv9' matches no layer of the model; its layers are: conv1, norm"):
        fit(tmp_path, [kind(layers=["conv9"])], model=model)
    assert model.trainer.global_step == 0


@every_callback
def test_2_arguments_are_keywords_of_plain_types(kind):
    with pytest.raises(TypeError, match="positional"):
        kind(1)


class Interrupt(pl.Callback):
    """Ends the run by an exception after a while."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def on_train_batch_end(self, trainer, *_):
        if self.error is not None and trainer.global_step == 9:
            raise self.error


def hooks_of(model: torch.nn.Module) -> list[object]:
    return [
        hook
        for module in model.modules()
        for kind in vars(module)
        if kind.endswith("_hooks") and isinstance(vars(module)[kind], dict)
        for hook in vars(module)[kind].values()
    ]


def first_step(kind):
    """Step 0 of those that draw the model before it is trained, if an interval is given."""
    return [0] if kind.__name__ == "KernelGrid" else []


@every_callback
@pytest.mark.parametrize("end", [None, RuntimeError("crash"), KeyboardInterrupt()], ids=["end", "exception", "ctrl-c"])
def test_3_nothing_stays_behind_and_4_nothing_written_is_lost(kind, end, tmp_path):
    model, threads = subject(kind)[0](), set(threading.enumerate())
    handler = signal.getsignal(signal.SIGINT)
    with contextlib.nullcontext() if end is None else pytest.raises((RuntimeError, SystemExit)):
        fit(tmp_path, [made(kind, every_n_epochs=1), Interrupt(end)], model=model)
    signal.signal(signal.SIGINT, handler)  # Lightning ignores further Ctrl-C while it shuts down
    assert hooks_of(model) == []
    assert [thread for thread in threading.enumerate() if thread not in threads and "cnnviz" in thread.name] == []
    descriptors = Path("/proc/self/fd")
    if descriptors.exists():
        targets = [os.path.realpath(entry) for entry in descriptors.iterdir()]
        assert [target for target in targets if str(tmp_path) in target] == []
    steps = image_steps(tmp_path)
    assert steps
    films = {tag: steps.pop(tag) for tag in list(steps) if tag.endswith("/film")}  # of what there was, at the end
    assert all(found == first_step(kind) + ([6, 12] if end is None else [6]) for found in steps.values()), steps
    assert all(found == [12] for found in films.values())


class Copying(pl.Callback):
    """Saves and copies everything in mid-run, as a checkpoint or an averaging callback would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copies = 0

    def copy_all(self, trainer, pl_module):
        ours = [callback for callback in trainer.callbacks if type(callback) in (*EXPORTED, Diagnosis, RunReport)]
        for callback in ours:
            pickle.loads(pickle.dumps(callback))
            copy.deepcopy(callback)
        copy.deepcopy(pl_module.eval().conv1)
        pl_module.train()
        torch.save(pl_module, self.folder / "model.pt")
        copied = torch.load(self.folder / "model.pt", weights_only=False)
        x = torch.rand(3, *trainer.val_dataloaders.dataset[0][0].shape)
        assert torch.equal(copied.eval()(x), pl_module.eval()(x))
        pl_module.train()
        self.copies += 1

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.copy_all(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.copy_all(trainer, pl_module)


@every_callback
def test_3_callbacks_and_model_can_be_copied_and_saved_in_mid_run(kind, tmp_path):
    before, after = Copying(tmp_path), Copying(tmp_path)
    fit(tmp_path, [before, made(kind, every_n_train_steps=3, on_error="raise"), after])
    assert before.copies == after.copies == 24
    assert image_steps(tmp_path)


@every_callback
def test_3_a_callback_can_be_used_again(kind, tmp_path):
    callback = made(kind, every_n_epochs=1, on_error="raise")
    for name in ("first", "second"):
        fit(tmp_path / name, [callback])
        steps = image_steps(tmp_path / name)
        due = [*first_step(kind), 6, 12]
        assert all(found == ([12] if tag.endswith("/film") else due) for tag, found in steps.items())
    pictures = [
        {tag: events(tmp_path / name).Images(tag)[-1].encoded_image_string for tag in image_steps(tmp_path / name)}
        for name in ("first", "second")
    ]
    assert pictures[0] == pictures[1]  # nothing of the first run shows in the second


def run_script(script, folder):
    return subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


def test_4_what_is_in_the_file_survives_kill_9(tmp_path):
    script = Path(__file__).with_name("helpers") / "killed_run.py"
    run = run_script(script, tmp_path)
    assert run.returncode == -signal.SIGKILL, run.stderr
    steps = image_steps(tmp_path)
    assert steps.pop("architecture/diagram") == [0]
    drawn = {tag.split("/")[0] for tag in steps}
    assert drawn >= {"kernels", "feature_maps", "gradient_flow", "projection", "class_report"}
    curves = {tag for tag in steps if tag.startswith("curves")}  # nothing to draw before the first validation
    for tag, found in steps.items():
        first = 2 if tag in curves else 0 if tag.startswith("kernels/") else 1
        assert found == list(range(first, 5)), steps


@every_callback
def test_4_a_resumed_run_continues_without_doubled_steps(kind, tmp_path):
    checkpoints = {"enable_checkpointing": True, "default_root_dir": tmp_path}
    keep = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    with pytest.raises(RuntimeError, match="crash"):  # at step 9, in the second epoch
        fit(
            tmp_path,
            [made(kind, every_n_train_steps=2), keep, Interrupt(RuntimeError("crash"))],
            **checkpoints,
        )
    resumed = trainer(tmp_path, [made(kind, every_n_train_steps=2)], max_epochs=3)
    net, data = subject(kind)
    resumed.fit(net(), *data(), ckpt_path=tmp_path / "epoch=0.ckpt")
    steps = image_steps(tmp_path)
    assert steps
    for tag, found in steps.items():
        assert found == sorted(set(found)), tag
        assert found[-1] == 18, tag
    due = [6, 12, 18] if kind in AT_VALIDATIONS else [2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert [step for step, _ in scalars(tmp_path, f"cnnviz/cost/{kind.__name__}")] == first_step(kind) + due


@every_callback
def test_4_checkpoints_load_without_unpickling_code(kind, tmp_path):
    run = fit(tmp_path, [made(kind)], enable_checkpointing=True, default_root_dir=tmp_path)
    run.save_checkpoint(tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=True)


@every_callback
def test_6_cost_is_known(kind, tmp_path):
    fit(tmp_path, [made(kind, every_n_epochs=1)])
    costs = scalars(tmp_path, f"cnnviz/cost/{kind.__name__}")
    assert [step for step, _ in costs] == [*first_step(kind), 6, 12]
    assert all(0 < milliseconds < 60_000 for _, milliseconds in costs)


@every_callback
def test_steps_rise_and_the_sanity_check_draws_nothing(kind, tmp_path):
    fit(tmp_path, [made(kind, every_n_train_steps=2)], num_sanity_val_steps=2, val_check_interval=0.5)
    due = {3, 6, 9, 12} if kind in AT_VALIDATIONS else {2, 4, 6, 8, 10, 12}
    for tag, steps in image_steps(tmp_path).items():
        assert steps == sorted(set(steps)), tag
        assert steps[0] > 0 or first_step(kind) == [0], tag
        assert set(steps) <= {*due, *first_step(kind)}, tag
    for image in (image for tag in events(tmp_path).Tags()["images"] for image in events(tmp_path).Images(tag)):
        assert image.encoded_image_string.startswith(b"\x89PNG")


@every_callback
@pytest.mark.parametrize("options", [{"logger": False}, {"fast_dev_run": True}], ids=str)
def test_without_a_logger_the_run_is_a_bare_one(kind, options, tmp_path):
    run = fit(tmp_path, [made(kind, on_error="raise")], **options)
    assert run.state.finished
    assert not (tmp_path / "run").exists()


@every_callback
def test_validate_and_test_alone_draw_nothing(kind, tmp_path):
    run = trainer(tmp_path, [made(kind, on_error="raise")])
    net, data = subject(kind)
    run.validate(net(), data()[1], verbose=False)
    assert image_steps(tmp_path) == {}


@every_callback
def test_a_logger_that_takes_no_images_gets_the_numbers(kind, tmp_path):
    logger = NumbersLogger()
    with pytest.warns(UserWarning, match="NumbersLogger cannot log images"):
        fit(tmp_path, [made(kind, on_error="raise")], logger=logger)
    assert any(f"cnnviz/cost/{kind.__name__}" in row for _, row in logger.rows)


def confusion(weights):
    """True and predicted classes of the validation data, of which each rank validates every second sample."""
    data, counts = TinyData(40, seed=1), np.zeros((4, 4), dtype=int)
    for rank, own in enumerate(weights):
        model = TinyNet()
        model.load_state_dict(own)
        np.add.at(counts, (data.targets[rank::2], model.eval()(data.images[rank::2]).argmax(1)), 1)
    return counts


def test_7_two_processes_write_every_picture_once(tmp_path):
    script = Path(__file__).with_name("helpers") / "ddp_run.py"
    run = run_script(script, tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    assert len(list((tmp_path / "run").glob("events*"))) == 1
    page = (tmp_path / "run" / "report.html").read_bytes()
    assert page == write_report(tmp_path / "run", tmp_path / "afterwards.html").read_bytes()
    steps = image_steps(tmp_path)
    assert steps.pop("architecture/diagram") == [0]
    drawn = {tag.split("/")[0] for tag in steps}
    maps = {"kernels", "feature_maps", "filter_response", "projection", "activation_maximization", "activations"}
    samples = {"saliency", "sample_history", "activating_patches"}
    assert drawn == maps | samples | {"gradient_flow", "curves", "class_report"}
    assert all(found == ([6] if tag.endswith("/film") else [3, 6]) for tag, found in steps.items()), steps
    weights = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, value in weights[0].items():
        if "running" not in name:  # batch-norm statistics are each rank's own
            assert torch.equal(value, weights[1][name]), name
    report = events(tmp_path).Images("class_report/confusion")[-1].encoded_image_string
    expected = confusion_matrix_chart(confusion(weights), TinyData.classes, title="confusion · epoch 2 · step 6")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(report)).convert("RGB")), expected)
    with (tmp_path / "run" / "sample_history.csv").open() as file:  # each rank has seen half of the samples
        seen = [(row["split"], int(row["sample"]), row["passes"], int(row["class"])) for row in csv.DictReader(file)]
    sizes = {"train": 48, "val": 40}
    assert seen == [(split, number, "2", number % 4) for split, size in sizes.items() for number in range(size)]


@every_callback
def test_9_the_last_state_is_drawn_once_whatever_the_interval(kind, tmp_path):
    fit(tmp_path, [made(kind, every_n_epochs=5, on_error="raise")])
    steps = image_steps(tmp_path)
    assert steps
    assert all(found == [*first_step(kind), 12] for tag, found in steps.items()), steps


@every_callback
def test_9_nothing_is_lost_that_could_be_kept(kind, tmp_path):
    """Epochs of one step, which no drawing keeps up with: everything waits, and nothing is left out."""
    callback = made(kind, every_n_epochs=1)
    fit(tmp_path, [callback], max_epochs=8, limit_train_batches=1)
    due, reader = [*first_step(kind), *range(1, 9)], events(tmp_path)
    pictures = {tag: steps for tag, steps in image_steps(tmp_path).items() if not tag.endswith("/film")}
    assert pictures
    # There are no mistakes to show where the model makes none.
    assert all(steps == due for tag, steps in pictures.items() if not tag.endswith("/mistakes")), pictures
    records = {tag: [one.step for one in reader.Tensors(tag)] for tag in reader.Tags()["tensors"]}
    for tag in ("kernels", "feature_maps", "filter_response", "projection", "activations"):
        assert all(steps == due for name, steps in records.items() if name.startswith(f"cnnviz/{tag}")), records
    assert callback.account.dropped == 0


@pytest.mark.parametrize(
    "kind",
    [kind for kind in EXPORTED if kind.__name__ not in OF_THE_PLANE],  # which run the network in the background
    ids=lambda kind: kind.__name__,
)
def test_10_what_the_class_of_a_model_keeps_is_untouched(kind, tmp_path):
    class Reaching(TinyNet):
        passes, sizes = 0, []

        def forward(self, x):
            Reaching.passes += 1
            self.sizes.append(len(x))
            return super().forward(x / (1 + 0.01 * Reaching.passes))

    found = []
    for name, callbacks in (("bare", []), ("with", [kind(every_n_epochs=1, on_error="raise")])):
        Reaching.passes = 0
        Reaching.sizes.clear()
        run = fit_model(tmp_path / name, callbacks, model=Reaching, data=loaders(), max_epochs=1)
        found.append((Reaching.passes, list(Reaching.sizes), fingerprint(run)))
    assert image_steps(tmp_path / "with")
    assert found[0] == found[1]


# ---- what draws nothing


class Doubled(TinyNet):
    """With a fault: a softmax before a loss that applies one."""

    def forward(self, x):
        return super().forward(x).softmax(1)


def failing_diagnosis(monkeypatch) -> None:
    def fails(*_):
        raise BrokenError("no rule today")

    monkeypatch.setattr("lightning_cnnviz.callbacks.diagnosis.observe", fails)


def found_in(folder: Path) -> list[str]:
    """Rules in the file of findings."""
    return [one["rule"] for one in json.loads((folder / "run" / "findings.json").read_text())]


def test_every_exported_callback_is_tested_here():
    exported = {getattr(lightning_cnnviz, name) for name in lightning_cnnviz.__all__}
    callbacks = {one for one in exported if isinstance(one, type) and issubclass(one, pl.Callback)}
    assert callbacks == {*EXPORTED, Diagnosis, CostLimit, RunReport}


@pytest.mark.parametrize("accumulated", [1, 4])
@pytest.mark.parametrize("fails", [False, True], ids=["told", "failing"])
def test_1_and_2_a_diagnosis_leaves_training_untouched_and_warns_once(fails, accumulated, tmp_path, monkeypatch):
    options = {"accumulate_grad_batches": accumulated, "model": Doubled}
    expected = fingerprint(fit_model(tmp_path / "bare", **options))
    if fails:
        failing_diagnosis(monkeypatch)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit_model(tmp_path / "with", [Diagnosis()], **options)
    assert fingerprint(run) == expected
    ours = [str(warning.message) for warning in caught if "Diagnosis" in str(warning.message)]
    assert len(ours) == 1
    assert ("no rule today" if fails else "softmax") in ours[0]
    assert fails or found_in(tmp_path / "with") == ["softmax_before_loss"]


def test_2_errors_of_a_diagnosis_come_through_where_asked_for_and_arguments_are_checked(tmp_path, monkeypatch):
    failing_diagnosis(monkeypatch)
    with pytest.raises(BrokenError):
        fit_model(tmp_path, [Diagnosis(on_error="raise")])
    with pytest.raises(ValueError, match='"warn" or "raise"'):
        Diagnosis(on_error="ignore")
    with pytest.raises(ValueError, match="expected task to be one of"):
        Diagnosis(task="binary")
    with pytest.raises(ValueError, match="names of rules"):
        Diagnosis(ignore="nonsense")
    with pytest.raises(TypeError, match="positional"):
        Diagnosis("dead_units")


@pytest.mark.parametrize("end", [None, RuntimeError("crash"), KeyboardInterrupt()], ids=["end", "exception", "ctrl-c"])
def test_3_and_4_of_a_diagnosis_nothing_stays_behind_and_nothing_is_lost(end, tmp_path):
    model, threads, callback = Doubled(), set(threading.enumerate()), Diagnosis(on_error="raise")
    handler = signal.getsignal(signal.SIGINT)
    with contextlib.nullcontext() if end is None else pytest.raises((RuntimeError, SystemExit)):
        fit_model(tmp_path, [callback, Interrupt(end)], model=model)
    signal.signal(signal.SIGINT, handler)
    assert hooks_of(model) == []
    assert [thread for thread in threading.enumerate() if thread not in threads and "cnnviz" in thread.name] == []
    descriptors = Path("/proc/self/fd")
    if descriptors.exists():
        assert not [one for one in descriptors.iterdir() if str(tmp_path) in os.path.realpath(one)]
    assert found_in(tmp_path) == [one.rule for one in callback.findings()] == ["softmax_before_loss"]
    texts = events(tmp_path).Tensors("diagnosis/findings/text_summary")
    assert [one.step for one in texts] == [1, 12 if end is None else 9]  # as it was found, and as the run ended


def test_3_a_diagnosis_and_its_model_can_be_copied_and_saved_in_mid_run(tmp_path):
    callback = Diagnosis(on_error="raise")
    before, after = Copying(tmp_path), Copying(tmp_path)
    fit_model(tmp_path, [before, callback, after], model=Doubled)
    assert before.copies == after.copies == 24
    copied = pickle.loads(pickle.dumps(callback))
    assert [one.rule for one in copied.findings()] == ["softmax_before_loss"]


def test_4_a_resumed_diagnosis_tells_nothing_again_and_its_checkpoint_needs_no_code(tmp_path, recwarn):
    options = {"enable_checkpointing": True, "default_root_dir": tmp_path}
    run = fit_model(tmp_path / "first", [Diagnosis()], model=Doubled, max_epochs=1, **options)
    run.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["Diagnosis"]
    assert [Finding.from_dict(one).rule for one in state["findings"]] == ["softmax_before_loss"]
    recwarn.clear()
    resumed = Diagnosis(on_error="raise")
    run = trainer(tmp_path / "second", [resumed], max_epochs=2)
    run.fit(Doubled(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert [one.told_step for one in resumed.findings()] == [1]
    assert not [one for one in recwarn if "Diagnosis" in str(one.message)]


def test_6_the_cost_of_a_diagnosis_is_known(tmp_path):
    fit_model(tmp_path, [Diagnosis(on_error="raise")])
    costs = scalars(tmp_path, "cnnviz/cost/Diagnosis")
    assert [step for step, _ in costs] == [6, 12]
    assert all(0 < milliseconds < 60_000 for _, milliseconds in costs)


def test_10_what_the_class_of_a_model_keeps_is_untouched_by_a_diagnosis(tmp_path):
    class Reaching(TinyNet):
        passes, sizes = 0, []

        def forward(self, x):
            Reaching.passes += 1
            self.sizes.append(len(x))
            return super().forward(x / (1 + 0.01 * Reaching.passes)) * (math.nan if Reaching.passes == 5 else 1)

    found = []
    for name, callbacks in (("bare", []), ("with", [Diagnosis(on_error="raise")])):
        Reaching.passes = 0
        Reaching.sizes.clear()
        run = fit_model(tmp_path / name, callbacks, model=Reaching, max_epochs=1)
        found.append((Reaching.passes, list(Reaching.sizes), fingerprint(run)))
    assert found_in(tmp_path / "with") == ["non_finite"]  # for which a copy of the model has run
    assert found[0] == found[1]


@pytest.mark.parametrize("accumulated", [1, 4])
@pytest.mark.parametrize("fails", [False, True], ids=["written", "failing"])
def test_1_and_2_a_report_leaves_training_untouched_and_warns_once(fails, accumulated, tmp_path, monkeypatch):
    if fails:
        monkeypatch.setattr("lightning_cnnviz.callbacks.run_report.write_file", failing_page)
    options = {"accumulate_grad_batches": accumulated}
    expected = fingerprint(fit_model(tmp_path / "bare", [KernelGrid()], **options))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit_model(tmp_path / "with", [KernelGrid(), RunReport()], **options)
    assert fingerprint(run) == expected
    ours = [str(warning.message) for warning in caught if "RunReport" in str(warning.message)]
    assert len(ours) == fails
    assert (tmp_path / "with" / "run" / "report.html").exists() is not fails


def failing_page(*_, **__):
    raise BrokenError("no page today")


@pytest.mark.parametrize("fails", [False, True], ids=["written", "failing"])
@pytest.mark.parametrize("end", [None, RuntimeError("crash"), KeyboardInterrupt()], ids=["end", "exception", "ctrl-c"])
def test_2_to_4_of_a_report_nothing_stays_behind_and_the_end_of_the_run_is_its_own(end, fails, tmp_path, monkeypatch):
    if fails:
        monkeypatch.setattr("lightning_cnnviz.callbacks.run_report.write_file", failing_page)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    model, threads, handler = TinyNet(), set(threading.enumerate()), signal.getsignal(signal.SIGINT)
    with contextlib.nullcontext() if end is None else pytest.raises((RuntimeError, SystemExit)) as raised:
        fit_model(tmp_path, [RunReport(), KernelGrid(), Interrupt(end)], model=model)
    signal.signal(signal.SIGINT, handler)
    assert end is None or raised.type is (SystemExit if isinstance(end, KeyboardInterrupt) else RuntimeError)
    assert hooks_of(model) == []
    assert [thread for thread in threading.enumerate() if thread not in threads and "cnnviz" in thread.name] == []
    assert list(temporary.iterdir()) == []
    kept = {path.name for path in (tmp_path / "run").iterdir() if not path.name.startswith(("events", "hparams"))}
    assert kept == (set() if fails else {"report.html"})
    if not fails:
        page = (tmp_path / "run" / "report.html").read_bytes()
        assert page == write_report(tmp_path / "run", tmp_path / "afterwards.html").read_bytes()


def test_3_a_report_can_be_copied_in_mid_run(tmp_path):
    before, after = Copying(tmp_path), Copying(tmp_path)
    fit_model(tmp_path, [before, RunReport(), KernelGrid(), after])
    assert before.copies == after.copies == 24
    assert (tmp_path / "run" / "report.html").exists()
