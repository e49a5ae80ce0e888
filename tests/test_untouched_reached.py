"""What a module reaches outside of its own attributes is not touched either."""

import functools
import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import image_steps
from helpers.untouched import Prepared, differing, few, maps
from torch import nn

from lightning_cnnviz.model import independent_copy


class ClassCounter(Prepared):
    passes = 0

    def before(self, x):
        ClassCounter.passes += 1
        return x

    def outcome(self):
        passes, ClassCounter.passes = ClassCounter.passes, 0
        return passes


class ClassList(Prepared):
    seen = []  # noqa: RUF012 - the slip in question

    def before(self, x):
        self.seen.append(len(x))
        return x

    def outcome(self):
        seen = list(self.seen)
        self.seen.clear()
        return seen


class MutableDefault(Prepared):
    def before(self, x, seen=[]):  # noqa: B006 - the slip in question
        seen.append(len(x))
        return x

    def outcome(self):
        seen = list(MutableDefault.before.__defaults__[0])
        MutableDefault.before.__defaults__[0].clear()
        return seen


class SafeCounter:
    def __init__(self):
        self.lock, self.calls = threading.Lock(), 0

    def __call__(self, x):
        with self.lock:
            self.calls += 1
        return x


class WithLockInside(Prepared):
    def build(self):
        self.safe = SafeCounter()

    def before(self, x):
        return self.safe(x)


class PairWithLock(Prepared):
    def build(self):
        self.first = nn.BatchNorm2d(1)
        self.guarded = {"layer": self.first, "lock": threading.Lock()}

    def before(self, x):
        return self.guarded["layer"](x)


class Numbered(Prepared):
    def build(self):
        self.numbers = (number for number in range(10_000))

    def before(self, x):
        return x + 0.001 * next(self.numbers)

    def outcome(self):
        return next(self.numbers)


class WritingToFile(Prepared):
    def build(self):
        self.file = None

    def before(self, x):
        if self.file is None:
            self.file = open(f"{self.logger.log_dir}/sizes.txt", "w+")  # noqa: SIM115 - kept open
        print(len(x), file=self.file)
        return x

    def outcome(self):
        self.file.seek(0)
        return self.file.read()


class OwnEvents(Prepared):
    def before(self, x):
        self.logger.experiment.add_scalar("mean_in_forward", x.mean(), self.global_step)
        return x


class LoggingBySuper(Prepared):
    def note(self, name, value):
        super().log(f"mine/{name}", value, on_step=False, on_epoch=True)

    def before(self, x):
        self.note("mean", x.mean())
        return x


class OnTrainer(Prepared):
    def before(self, x):
        self.trainer.passes = getattr(self.trainer, "passes", 0) + 1
        return x

    def outcome(self):
        return self.trainer.passes


class AverageWithHook(Prepared):
    def build(self):
        self.seen, self.average = [], [nn.Conv2d(1, 1, 1)]
        self.average[0].register_forward_hook(lambda *_: self.seen.append(1))

    def before(self, x):
        return x + 0.01 * self.average[0](x).detach()


class LargeAverage(Prepared):
    def build(self):
        self.sums = torch.zeros(17 * 2**20)

    def before(self, x):
        self.sums[:8] += x[0, 0, 0].detach()
        return x


COUNTS, TOTAL = {"passes": []}, 0


class Globals(Prepared):
    def before(self, x):
        global TOTAL
        COUNTS["passes"].append(len(x))
        COUNTS.setdefault("first", len(x))
        TOTAL += 1
        return x / (1 + 0.01 * TOTAL)

    def outcome(self):
        global TOTAL
        found = TOTAL, list(COUNTS["passes"]), COUNTS.pop("first")
        TOTAL = 0
        COUNTS["passes"].clear()
        return found


def counted(function):
    @functools.wraps(function)
    def counting(self, x):
        nonlocal calls
        calls += 1
        counting.seen.append(calls)
        return function(self, x)

    calls, counting.seen = 0, []
    return counting


class Decorated(Prepared):
    @counted
    def before(self, x):
        return x

    def outcome(self):
        seen = list(Decorated.before.seen)
        Decorated.before.seen.clear()
        return [number - seen[0] for number in seen]


class Shared:
    """One object for all models of a class."""

    def __init__(self):
        self.calls, self.sums, self.mean = 0, np.zeros(2), torch.zeros(2)
        self.draw, self.own = random.Random(0), torch.Generator().manual_seed(0)


class OfTheClass(Prepared):
    shared = Shared()

    def before(self, x):
        shared = self.shared
        shared.calls += 1
        shared.sums += len(x)
        shared.mean.lerp_(x[0, 0, 0, :2].detach(), 0.1)
        return x + shared.draw.random() + torch.rand(1, generator=shared.own) + 0.1 * shared.mean.sum()

    def outcome(self):
        found = vars(self.shared) | {"sums": self.shared.sums.tolist(), "mean": self.shared.mean.tolist()}
        found |= {"draw": self.shared.draw.getstate(), "own": self.shared.own.get_state()}
        self.shared.__init__()
        return found


class LargeTable(Prepared):
    def build(self):
        self.names = {number: str(number) for number in range(300_000)}

    def before(self, x):
        self.names[len(self.names)] = "new"
        return x


class LargeArray(Prepared):
    def build(self):
        self.sums = np.zeros(9 * 2**20)

    def before(self, x):
        return x + self.sums[0]


@pytest.mark.parametrize(
    "kind",
    [
        *(WithLockInside, PairWithLock, OwnEvents, OnTrainer, AverageWithHook, ClassCounter, ClassList, OfTheClass),
        *(MutableDefault, Globals, Decorated, WritingToFile, LoggingBySuper, LargeTable, LargeArray),
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_a_module_reaches_is_not_touched(kind, tmp_path):
    assert differing(tmp_path, kind, maps(), few, max_epochs=1) == []
    assert "feature_maps/conv1" in image_steps(tmp_path / "with")


class ReadingFile(Prepared):
    def before(self, x):
        if not hasattr(self, "file"):
            self.file = Path(__file__).open()  # noqa: SIM115 - kept open
        return x + 0.001 * len(self.file.readline())

    def outcome(self):
        return self.file.readline()


class LargeArrayWritten(LargeArray):
    def before(self, x):
        self.sums[0] += len(x)
        return x


class ManyObjects(Prepared):
    def build(self):
        self.boxes = [[number] for number in range(100_001)]

    def before(self, x):
        self.boxes[0].append(len(x))
        return x


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Numbered, "a generator object"),
        (ReadingFile, "a file that it reads"),
        (LargeAverage, "writes into a tensor"),
        (LargeArrayWritten, "read-only"),
        (ManyObjects, "too many objects"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_what_cannot_be_kept_apart_is_not_run_but_said_and_shown_from_the_second_validation_on(kind, words, tmp_path):
    with pytest.warns(UserWarning, match=f"FeatureMaps failed.*{words}"):
        assert differing(tmp_path, kind, maps(), few) == []
    assert image_steps(tmp_path / "with")["feature_maps/conv1"] == [4]


def test_weights_that_are_too_large_to_be_copied_are_not_written_into(monkeypatch, tmp_path):
    class Clamping(Prepared):
        def before(self, x):
            self.norm.weight.data.clamp_(-0.1, 0.1)
            return x

    monkeypatch.setattr(independent_copy, "MAX_BYTES", 0)
    with pytest.warns(UserWarning, match="FeatureMaps failed.*writes into a tensor"):
        assert differing(tmp_path, Clamping, maps(), few, max_epochs=1) == []
