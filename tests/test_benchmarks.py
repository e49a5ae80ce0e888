"""The benchmark runs, its figures are consistent, and its measures measure."""

import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from benchmarks.__main__ import GROUPS
from benchmarks.background import Background, resident_megabytes
from benchmarks.measure import Blocks, Switchboard, paired_ratio
from benchmarks.models import ThreeC3D
from benchmarks.projection import compare, features_of_two_epochs
from benchmarks.rows import BARE, Row, bar, missing
from benchmarks.saliency import CORNER, MARK, found
from lightning_cnnviz import GradientFlow

ROOT = Path(__file__).resolve().parents[1]


class Trainer:
    """As much of a trainer as the measures ask for."""

    global_step = 7
    should_stop = False


class Sleeper(pl.Callback):
    """Sleeps in one hook, which the other one calls."""

    def __init__(self):
        self.called = []

    def on_train_batch_start(self, trainer, *_):
        self.called.append("start")
        time.sleep(0.01)

    def on_train_batch_end(self, trainer, *_):
        self.called.append("end")
        self.on_train_batch_start(trainer)

    def on_train_start(self, trainer, *_):
        self.called.append("life")


def test_command(data_root, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", tmp_path / "figures.json"],
        cwd=ROOT,
        env={**os.environ, "CNNVIZ_DATA": str(data_root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["machine"]["cores"] == os.cpu_count()
    assert {row["group"] for row in figures["rows"]} == set(GROUPS)
    promised = {row["group"] for row in figures["rows"] if row["at_most"] is not None}
    for row in figures["rows"]:
        assert run.stdout.count(row["name"]) >= 1 + (row["at_most"] is not None)
        assert (row["verdict"] != "") == (row["at_most"] is not None)
        if row["figure"] is None:
            assert row["note"]
        else:
            assert math.isfinite(row["figure"])
            assert all(math.isfinite(value) for values in row["samples"].values() for value in values)
        if row["figure"] is not None and "seconds_per_step_on" in row["samples"]:
            on, off = (row["samples"][f"seconds_per_step_{state}"] for state in ("on", "off"))
            assert row["figure"] == statistics.median(a / b for a, b in zip(on, off, strict=True))
    assert promised | {"gpu", "helper"} == set(GROUPS)


def test_only_knows_its_groups():
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "speed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "speed" in run.stderr
    assert "kernels" in run.stderr


def test_switchboard_times_each_call_once():
    sleeper = Sleeper()
    board = Switchboard([sleeper])
    sleeper.on_train_batch_end(Trainer(), None)
    assert sleeper.called == ["end", "start"]
    (call,) = board.calls
    assert call[:3] == ("Sleeper", "on_train_batch_end", 7)
    assert call.seconds >= 0.01


def test_switchboard_leaves_out_what_is_switched_off():
    sleeper = Sleeper()
    board = Switchboard([sleeper])
    board.switch(lambda _: False)
    sleeper.on_train_batch_end(Trainer(), None)
    sleeper.on_train_start(Trainer(), None)
    assert sleeper.called == ["life"]
    board.switch(lambda _: True)
    sleeper.on_train_batch_start(Trainer(), None)
    assert sleeper.called == ["life", "start"]


def test_blocks_find_what_sleeps():
    sleeper, trainer, module = Sleeper(), Trainer(), pl.LightningModule()
    blocks = Blocks(Switchboard([sleeper]), steps=2, pairs=4, budget=60)
    index = 0
    while not trainer.should_stop:
        blocks.on_train_batch_start(trainer, module, None, index)
        sleeper.on_train_batch_start(trainer, module, None, index)
        time.sleep(0.01)  # the step itself
        index += 1
    seconds = blocks.seconds
    assert [len(values) for values in seconds.values()] == [4, 4]
    assert min(seconds["on"]) >= 0.02
    assert min(seconds["off"]) >= 0.01
    assert len(sleeper.called) == 2 * 6  # in half of the blocks: 4 pairs and 2 to warm up, 2 steps each


def test_blocks_keep_whole_epochs_apart():
    board, trainer, module = Switchboard([]), Trainer(), pl.LightningModule()
    blocks = Blocks(board, steps=2, pairs=100, budget=60)
    for _ in range(3):  # 7 steps: blocks of 2, 2 and 2, of which two make a pair, and a rest
        for index in range(7):
            blocks.on_train_batch_start(trainer, module, None, index)
    assert {state: len(values) for state, values in blocks.seconds.items()} == {"off": 1, "on": 1}


def test_paired_ratio():
    ratio, (low, high) = paired_ratio([2.0, 3.0, 8.0], [1.0, 1.0, 4.0])
    assert ratio == 2.0
    assert (low, high) == (2.0, 3.0)


def test_background_counts_threads_of_the_background():
    if not Path("/proc/self/task").exists():
        pytest.skip("needs Linux's /proc")
    used, end = [], threading.Event()

    def work():
        while time.thread_time() < 0.3:
            sum(range(10_000))
        used.append(time.thread_time())
        end.wait()

    background = Background()
    with background.watched():
        thread = threading.Thread(target=work)
        thread.start()
        while not used:
            sum(range(10_000))  # on this thread, which is not of the background
        time.sleep(0.2)
        end.set()
        thread.join()
    assert background.seconds == pytest.approx(used[0], abs=0.05)


def test_memory_of_children_stands_beside():
    if not Path("/proc/self/task").exists():
        pytest.skip("needs Linux's /proc")
    own, before = resident_megabytes()
    code = "data = bytearray(200_000_000); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        still, children = resident_megabytes()
        child.communicate(b"\n")
    assert 200 <= children - before < 260
    assert abs(still - own) < 20


@pytest.mark.parametrize(
    ("figure", "interval", "floor", "verdict"),
    [
        (1.01, (1.00, 1.02), (0.99, 1.01), "pass"),
        (1.01, (1.00, 1.03), (0.99, 1.01), "open"),
        (1.01, (1.00, 1.02), (0.95, 1.01), "open"),  # bare against bare differs by more than is asked
        (1.04, (1.03, 1.05), (0.99, 1.00), "open"),
        (1.05, (1.04, 1.06), (0.99, 1.01), "FAIL"),
        (1.05, None, None, "FAIL"),
        (1.02, None, None, "pass"),
    ],
)
def test_verdict(figure, interval, floor, verdict):
    row = Row("x", figure, BARE, interval, floor, at_most=1.02)
    assert row.verdict == verdict
    assert verdict in row.line()


def test_a_missing_figure_is_open_and_says_why():
    row = missing("x", BARE, "not installed", at_most=2.0)
    assert row.verdict == "open"
    assert row.as_json()["figure"] is None
    assert "not installed" in row.line()


def test_bar_is_a_logarithm():
    assert [len(bar(extra)) for extra in (-0.5, 0.0, 0.00101, 0.01, 0.1, 1.0)] == [0, 0, 1, 6, 11, 16]


def test_models_are_the_published_ones():
    assert sum(parameter.numel() for parameter in ThreeC3D().parameters()) == 895_210


def test_hooks_that_callbacks_have_are_timed():
    callback = GradientFlow()
    Switchboard([callback])
    assert {name for name in vars(callback) if name.startswith("on_")} >= {
        "on_before_optimizer_step",
        "on_train_batch_end",
        "on_train_epoch_end",
    }


def test_projection(data_root, monkeypatch):
    monkeypatch.setenv("CNNVIZ_DATA", str(data_root))
    figures = compare(features_of_two_epochs(200, batches=5), rounds=1)
    (ours,), (theirs,) = figures["seconds"].values()
    assert figures["ratio"] == [ours / theirs]
    assert all(0.9 < values[0] <= 1 for values in figures["trustworthiness"].values())


def test_where_saliency_looks_is_measured_by_shares_of_its_mass():
    maps = torch.zeros(4, 28, 28)
    maps[0][MARK] = 2
    maps[1][CORNER] = 1
    maps[2, 20, 20], maps[2, 0, 0] = 3, 1
    maps[3] = -1  # which speaks for nothing, and does not count
    mark, corner, peak = found(maps)
    assert mark == pytest.approx((1 + 0.16 + 0) / 3)
    assert corner == pytest.approx((1 + 1 + 0.25) / 3)
    assert peak == pytest.approx(2 / 3)
