"""One run, and what `Diagnosis` says of it."""

import math
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from benchmarks.diagnosis.cases import Case
from benchmarks.diagnosis.others import WATCHERS, DetectAnomaly, Watcher
from benchmarks.diagnosis.training import Run
from lightning_cnnviz import Diagnosis, cnnviz_callbacks

FEW = 10
"""Losses at either end of a run, of which the means are kept."""


class Losses(pl.Callback):
    """Keeps the loss of every step, and when it first was not finite."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps this step's loss, if it is known."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self.values.append(loss.detach().clone())

    def summary(self) -> dict[str, Any]:
        """The first and the last losses, and the first step whose loss is not finite."""
        values = [float(value) for value in self.values]
        broken = [step for step, value in enumerate(values) if not math.isfinite(value)]
        return {
            "loss_before": _mean(values[:FEW]),
            "loss_after": _mean(values[-FEW:]),
            "not_finite_at": broken[0] if broken else None,
        }


def run(case: Case, standard: bool = False, folder: Path | None = None, others: bool = False) -> dict[str, Any]:
    """Trains once; errors of the training and failures of callbacks are part of the result.

    Args:
        case: What to train.
        standard: Whether the whole standard set watches, instead of `Diagnosis` alone.
        folder: Keeps what is logged; by default nothing is kept.
        others: Whether other detectors say, too, what they think of this run. They watch it as it is made again with
            the same seed: some of them change how modules are called, which `Diagnosis` must not be judged by.
    """
    made = case.made()
    callbacks = cnnviz_callbacks() if standard else [Diagnosis()]
    diagnosis = next(callback for callback in callbacks if isinstance(callback, Diagnosis))
    losses = Losses()
    trainer, error, told, seconds = _fit(made, [losses, *callbacks], folder)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {
        "case": case.name,
        "half": case.half,
        **{name: getattr(case, name) for name in ("kind", "variant", "strength", "network", "data", "seed", "rules")},
        "findings": [asdict(finding) for finding in diagnosis.findings()],
        "begins": made.begins,
        **losses.summary(),
        "train_acc": metrics.get("train_acc"),
        "val_acc": metrics.get("val_acc"),
        "steps": trainer.global_step,
        "seconds": round(seconds, 3),
        "diagnosis_seconds": round(diagnosis.account.seconds, 3),
        **({"others": _others(case)} if others else {}),
        "error": error,
        "failed": [words for words in told if words.startswith("Diagnosis failed")],
    }


def _others(case: Case) -> dict[str, Any]:
    """What others say; if Lightning's anomaly detection ends the run, it is made once more, for all to see its end."""
    anomaly = DetectAnomaly()
    watchers = _watchers()
    _fit(case.made(), [anomaly, *watchers], detect_anomaly=True)
    if anomaly.reports():
        watchers = _watchers()
        _fit(case.made(), watchers)
    return {watcher.name: watcher.result() for watcher in (anomaly, *watchers)}


def _watchers() -> list[Watcher]:
    return [watcher() for watcher in WATCHERS if watcher.installed()]


def _fit(
    made: Run, callbacks: Sequence[pl.Callback], folder: Path | None = None, **options: Any
) -> tuple[pl.Trainer, str | None, list[str], float]:
    """Trains; returns the trainer, an error, the words of all warnings, and seconds."""
    error = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        trainer = pl.Trainer(
            logger=TensorBoardLogger(folder or temporary, name="", version=""),
            callbacks=[*callbacks, *made.options.pop("callbacks", [])],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            **{"accelerator": "cpu", "num_sanity_val_steps": 0, "log_every_n_steps": 10, **options, **made.options},
        )
        begun = time.perf_counter()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                trainer.fit(made.module, made.train, made.val)
            except Exception as caught:
                error = f"{type(caught).__name__}: {caught}"
        seconds = time.perf_counter() - begun
    return trainer, error, [str(one.message) for one in told], seconds


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
