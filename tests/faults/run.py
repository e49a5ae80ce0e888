"""One run, in a process of its own that is a copy of the one that prepared everything."""

import atexit
import os
import signal
import sys
import tempfile
import traceback
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from helpers.plane import PlaneNet, plane_loaders
from helpers.tiny import TinyNet, fit, loaders
from test_contract import fingerprint, hooks_of

import lightning_cnnviz
from lightning_cnnviz.worker.client import Worker
from tests.faults.diary import Diary, Steps, digest
from tests.faults.inject import Breaker, arrange, functions, hurry, replace
from tests.faults.plan import Case

PAUSE = 0.04
OPTIONS: dict[str, dict[str, Any]] = {
    "ActivationMaximization": {"steps": 3},
    "EmbeddingProjection": {"num_samples": 40, "method": "pca"},
    "InputPartition": {"history": 3},
}


def start(case: Case, folder: Path, count: bool = False) -> int:
    """Begins a run in `folder`, with the training's files in `folder/disk`; returns the number of its process.

    Args:
        case: What to run and to break.
        folder: Gets `diary` and `output` too.
        count: Also note how often each of our functions is called.
    """
    for name in ("disk", "temporary"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "temporary")
        code = _run(case, folder, Diary(folder / "diary"), count)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(case: Case, folder: Path, diary: Diary, count: bool) -> int:
    warnings.simplefilter("ignore")
    diary.listen()
    calls = _count_calls() if count else {}
    net, data = (PlaneNet, plane_loaders) if case.net == "plane" else (TinyNet, loaders)
    interval = {"every_n_train_steps": 2} if case.every_step else {"every_n_epochs": 1}
    ours = [getattr(lightning_cnnviz, name)(**interval, **OPTIONS.get(name, {})) for name in case.callbacks]
    hurry()
    fault = arrange(case, folder / "disk", diary.note)
    around = [*fault, *ours] if case.first else [*ours, *fault]
    if case.fault.startswith("broken"):
        around = [Breaker(case), *around]
    train, val = data()
    if case.fault == "degenerate data":
        for loader in (train, val):
            _flatten(loader.dataset, case.detail)
    error = None
    kept: list[pl.Trainer] = []
    try:
        fit(folder / "disk", [_Keep(kept), *around, Steps(diary, PAUSE)], model=net, data=(train, val))
    except (Exception, SystemExit, KeyboardInterrupt) as caught:
        error = caught
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if error is not None:
        traceback.print_exception(error, file=sys.stdout)
    trainer = kept[0] if kept else None
    finished = trainer is not None and trainer.global_step == 12 and bool(trainer.optimizers)
    model = trainer.lightning_module if trainer else None
    diary.note(
        error=error and type(error).__name__,
        words=str(error),
        result={name: digest({name: part}) for name, part in fingerprint(trainer).items()} if finished else None,
        hooks=len(hooks_of(model)) if model is not None else 0,
        calls=calls,
    )
    return 0


class _Keep(pl.Callback):
    def __init__(self, kept: list[pl.Trainer]) -> None:
        self.kept = kept

    def setup(self, trainer, *_, **__):
        self.kept.append(trainer)


def _flatten(dataset: Any, value: float) -> None:
    tensors = dataset.tensors if hasattr(dataset, "tensors") else [dataset.images]
    tensors[0].fill_(value)


def _count_calls() -> dict[str, int]:
    calls: dict[str, int] = {}

    def counting(name: str, function: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            calls[name] = calls.get(name, 0) + 1
            return function(*args, **options)

        return counted

    for name, *_ in list(functions()):
        replace(name, partial(counting, name))
    Worker._start = lambda self: None
    return calls
