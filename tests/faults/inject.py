"""The faults themselves, arranged in the process that is to suffer from them."""

import functools
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import pytorch_lightning as pl
import torch
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem

from lightning_cnnviz.callbacks.guarded import _guarded
from lightning_cnnviz.output import writer
from lightning_cnnviz.worker.client import Worker
from lightning_cnnviz.worker.server import NICENESS
from tests.faults.plan import PHASES, Case

NOBODY = 65534
OURS = "lightning_cnnviz"
OTHER_SIDE = {f"{OURS}.{name}" for name in ("worker.server", "tensorboard_plugin", "data.datasets")}
"""Run in other processes than the training."""


GUARDS = {
    *(f"{OURS}.output.{name}" for name in ("job_queue.JobQueue._run", "writer._run_guarded", "writer.Writer._flush")),
    *(f"{OURS}.output.waiting.{name}" for name in ("Waiting.take", "Waiting._remove", "Waiting.pictures", "_size")),
    *(f"{OURS}.output.costs.{name}" for name in ("Account.guard", "Account.report", "Guard.__init__")),
    f"{OURS}.output.event_file.EventFile._append",
    *(f"{OURS}.callbacks.base.VisualCallback.{name}" for name in ("state_key", "state_names")),
    f"{OURS}.callbacks.embedding_projection.EmbeddingProjection.state_names",
    *(f"{OURS}.callbacks.guarded.{name}" for name in ("_guarded", "_of_instances")),
    *(f"{OURS}.model.output_tap.OutputTap.{name}" for name in ("_capture_own", "_capture_child", "_class_scores")),
    f"{OURS}.model.output_tap.OutputTap.close",
}
"""What catches errors itself, and what is too little to fail before something in it does."""


class InjectedError(Exception):
    """What is thrown from our functions."""


class Moment(pl.Callback):
    """Calls a function once, when a phase begins for the n-th time."""

    def __init__(self, phase: str, count: int, act: Callable[[], None]) -> None:
        self._phase, self._left, self._act = phase, count, act

    def reached(self, phase: str) -> None:
        if phase == self._phase:
            self._left -= 1
            if self._left == 0:
                self._act()


def _hook(phase: str) -> Callable[..., None]:
    return lambda self, *_, **__: self.reached(phase)


for _phase in PHASES:
    setattr(Moment, _phase, _hook(_phase))


def arrange(case: Case, folder: Path, note: Callable[..., None]) -> list[pl.Callback]:
    """Prepares a fault; returns callbacks that the trainer needs for it."""
    acts: dict[str, Callable[[], None]] = {
        "kill -9": lambda: _send(note, signal.SIGKILL),
        "SIGTERM": lambda: _send(note, signal.SIGTERM),
        "Ctrl-C": lambda: _send(note, signal.SIGINT, group=True),
        "Ctrl-C twice": lambda: _twice(note, case.detail),
        "helper killed": lambda: _kill_helper(note),
        "helper killed again and again": lambda: _kill_for_good(note),
        "disk full": lambda: _fill(folder, note),
        "read-only folder": lambda: _lock(folder, note),
    }
    if case.fault == "read-only folder" and os.getuid() == 0:  # whom no mode stops
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.setuid(NOBODY)
    if case.fault == "exception":
        name, count, always = case.detail
        throw(name, count, always, note)
        if not name.startswith(f"{OURS}.worker"):
            Worker._start = lambda self: None  # draws here, where it can be broken
    if case.fault == "helper does not start":
        sys.executable = str(folder / "no-python")
    if case.fault == "slow disk":
        _slow_disk()
    if case.fault == "queue full":
        writer.MAX_WAITING_BYTES = 1
    if case.fault in acts:
        return [_at(case.moment, acts[case.fault])]
    if case.fault not in ("", "exception"):
        note(injected="all the time")
    return []


def _at(moment: tuple[str, int] | float, act: Callable[[], None]) -> Moment:
    if isinstance(moment, float):
        return Moment("setup", 1, lambda: _later(moment, act))
    found = Moment(*moment, act)
    close, run = writer.Writer.close, Worker.run

    def closing(self, trainer):
        if self._users == 1:
            _later(0.05 * moment[1], lambda: found.reached("closing"))
            found._left = 1 if moment[0] == "closing" else found._left
        close(self, trainer)

    def computing(self, call, executor="draw", **options):
        if executor == "compute":
            _later(0.1, lambda: found.reached("computing"))
        return run(self, call, executor, **options)

    writer.Writer.close, Worker.run = closing, computing
    return found


def _later(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def _send(note: Callable[..., None], number: int, group: bool = False) -> None:
    note(signal=signal.Signals(number).name, injected=number)
    os.killpg(0, number) if group else os.kill(os.getpid(), number)  # a terminal sends it to all in the foreground


def _twice(note: Callable[..., None], seconds: float) -> None:
    _later(seconds, lambda: _send(note, signal.SIGINT, group=True))
    _send(note, signal.SIGINT, group=True)


def _kill_helper(note: Callable[..., None]) -> None:
    helper = Worker._shared and Worker._shared._helper
    process = helper and helper.process
    if process and process.poll() is None:
        note(injected=process.pid)
        os.kill(process.pid, signal.SIGKILL)


def _kill_for_good(note: Callable[..., None]) -> None:
    while True:
        _kill_helper(note)
        time.sleep(0.3)


def _lock(folder: Path, note: Callable[..., None]) -> None:
    note(injected="read-only")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _fill(folder: Path, note: Callable[..., None]) -> None:
    note(injected="full")
    if not os.path.ismount(folder):  # where mounting is not allowed: no file may grow any more
        largest = max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 1000, resource.RLIM_INFINITY))
        return
    with open(folder / "ballast", "wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


def hurry() -> None:
    """Gives the helper its share of a machine that is busy with other things, where that is allowed."""
    start = Worker._start

    def urgent(worker: Worker) -> Any:
        helper = start(worker)
        if helper is not None:
            _later(0.1, lambda: _raise_priority(helper.process))
        return helper

    Worker._start = urgent


def _raise_priority(process: Any) -> None:
    with suppress(OSError, AttributeError):  # it may be gone already
        while process.poll() is None and os.getpriority(os.PRIO_PROCESS, process.pid) != NICENESS:
            time.sleep(0.1)
        os.setpriority(os.PRIO_PROCESS, process.pid, 0)


def _slow_disk() -> None:
    append = LocalFileSystem.append

    def slowly(self, *args, **options):
        time.sleep(0.02)
        return append(self, *args, **options)

    LocalFileSystem.append = slowly


class Breaker(pl.Callback):
    """Puts numbers that are none into weights, activations or gradients at a step."""

    def __init__(self, case: Case) -> None:
        self.kind = case.fault.partition(" ")[2]
        self.step, value, self.whole = case.detail
        self.value = float(value)

    def _layer(self, model: torch.nn.Module) -> torch.nn.Module:
        return model.fc1

    def _break(self, tensor: torch.Tensor) -> None:
        with torch.no_grad():
            (tensor if self.whole else tensor.view(-1)[:1]).fill_(self.value)

    def on_train_batch_start(self, trainer, pl_module, *_):
        if trainer.global_step != self.step:
            return
        if self.kind == "weights":
            self._break(self._layer(pl_module).weight)
        if self.kind == "activations":
            layer = self._layer(pl_module)
            handle = layer.register_forward_hook(lambda _, __, output: output * self.value)
            self._handle = handle

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step == self.step and self.kind == "gradients":
            self._break(self._layer(pl_module).weight.grad)

    def on_train_batch_end(self, trainer, pl_module, *_):
        if handle := self.__dict__.pop("_handle", None):
            handle.remove()


# ---- exceptions


def functions() -> Iterator[tuple[str, Any, str, FunctionType, Callable[[Any], Any]]]:
    """All functions of ours: name, where it stands, as what, itself and how to put it back there."""
    for module_name, module in sorted(sys.modules.items()):
        if not module_name.startswith(OURS) or any(module_name.startswith(other) for other in OTHER_SIDE):
            continue
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", "") != module_name:
                continue
            if f"{module_name}.{name}" in GUARDS:
                continue
            if isinstance(value, FunctionType):
                yield f"{module_name}.{name}", module, name, value, lambda new: new
            elif isinstance(value, type):
                for method, (inner, wrap) in _methods(value).items():
                    if f"{module_name}.{name}.{method}" in GUARDS:
                        continue
                    yield f"{module_name}.{name}.{method}", value, method, inner, wrap


def _methods(kind: type) -> dict[str, tuple[FunctionType, Callable[[Any], Any]]]:
    found = {}
    for name, value in vars(kind).items():
        if isinstance(value, (classmethod, staticmethod)):
            found[name] = (value.__func__, type(value))
        elif isinstance(value, property) and name != "__class__":  # no class takes another property for its own
            found[name] = (value.fget, property)
        elif name in vars(pl.Callback) and hasattr(value, "__wrapped__"):  # breaks in the guard, as it would
            found[name] = (value.__wrapped__, _guarded)
        elif isinstance(value, FunctionType) and (name == "__init__" or not name.startswith("__")):
            found[name] = (value, lambda new: new)
    return {name: entry for name, entry in found.items() if getattr(entry[0], "__module__", "") == kind.__module__}


def replace(name: str, make: Callable[[FunctionType], Callable[..., Any]]) -> None:
    """Puts something else in the place of a function, wherever it was imported to."""
    for found, place, attribute, function, wrap in functions():
        if found == name:
            new = functools.wraps(function)(make(function))
            setattr(place, attribute, wrap(new))
            for module_name, module in list(sys.modules.items()):
                if module_name.startswith(OURS) and module is not place:
                    for other, value in list(vars(module).items()):
                        if value is function:
                            setattr(module, other, new)
            return
    raise LookupError(name)


def throw(name: str, count: int, always: bool, note: Callable[..., None]) -> None:
    """Has a function of ours raise at its n-th call, or from then on."""
    calls = 0

    def make(function: FunctionType) -> Callable[..., Any]:
        def broken(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == count or (always and calls > count):
                note(injected=calls)
                raise InjectedError(f"thrown from {name}")
            return function(*args, **options)

        return broken

    replace(name, make)
