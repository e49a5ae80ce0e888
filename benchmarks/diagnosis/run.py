"""One run, and what `Diagnosis` says of it."""

import math
import tempfile
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from benchmarks.diagnosis.cases import Case
from benchmarks.diagnosis.others import WATCHERS, DetectAnomaly, Watcher
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

    A run that Lightning's anomaly detection ends is made again without it, so that all see the whole run.

    Args:
        case: What to train.
        standard: Whether the whole standard set watches, instead of `Diagnosis` alone.
        folder: Keeps what is logged; by default nothing is kept.
        others: Whether other detectors watch, too.
    """
    if not others:
        return _train(case, standard, folder, [])
    anomaly = DetectAnomaly()
    result = _train(case, standard, folder, [anomaly, *_watchers()])
    if anomaly.reports():
        result = _train(case, standard, folder, _watchers())
        result["others"] = {anomaly.name: anomaly.result(), **result["others"]}
    return result


def _watchers() -> list[Watcher]:
    return [watcher() for watcher in WATCHERS if watcher.installed()]


def _train(case: Case, standard: bool, folder: Path | None, watchers: list[Watcher]) -> dict[str, Any]:
    made = case.made()
    callbacks = cnnviz_callbacks() if standard else [Diagnosis()]
    diagnosis = next(callback for callback in callbacks if isinstance(callback, Diagnosis))
    losses = Losses()
    error = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        trainer = pl.Trainer(
            logger=TensorBoardLogger(folder or temporary, name="", version=""),
            callbacks=[losses, *callbacks, *watchers, *made.options.pop("callbacks", [])],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            detect_anomaly=any(isinstance(watcher, DetectAnomaly) for watcher in watchers),
            **{"accelerator": "cpu", "num_sanity_val_steps": 0, "log_every_n_steps": 10, **made.options},
        )
        begun = time.perf_counter()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                trainer.fit(made.module, made.train, made.val)
            except Exception as caught:
                error = f"{type(caught).__name__}: {caught}"
        seconds = time.perf_counter() - begun
        findings = [asdict(finding) for finding in diagnosis.findings()]
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {
        "case": case.name,
        "half": case.half,
        **{name: getattr(case, name) for name in ("kind", "variant", "strength", "network", "data", "seed", "rules")},
        "findings": findings,
        "begins": made.begins,
        **losses.summary(),
        "train_acc": metrics.get("train_acc"),
        "val_acc": metrics.get("val_acc"),
        "steps": trainer.global_step,
        "seconds": round(seconds, 3),
        "diagnosis_seconds": round(diagnosis.account.seconds, 3),
        **({"others": {watcher.name: watcher.result() for watcher in watchers}} if watchers else {}),
        "error": error,
        "failed": [str(one.message) for one in told if str(one.message).startswith("Diagnosis failed")],
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
