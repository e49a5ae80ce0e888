"""Runs side by side, in processes that each train many."""

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.diagnosis.cases import Case, cases


def train(
    wanted: Sequence[Case], jobs: int, standard: bool, out: Path | None, others: bool = False, first_seed: int = 0
) -> list[dict[str, Any]]:
    """Trains all; each result is appended to a file as soon as it is there.

    Args:
        wanted: The runs.
        jobs: Processes, of one thread each.
        standard: Whether the whole standard set watches, instead of `Diagnosis` alone.
        out: The file; None for none.
        others: Whether other detectors watch, too.
        first_seed: As in `cases`.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes
    results = []
    begun = time.perf_counter()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare) as pool:
        given = standard, others, first_seed
        futures: list[Future[dict[str, Any]]] = [pool.submit(_one, case.name, *given) for case in wanted]
        for count, future in enumerate(as_completed(futures), start=1):
            result = future.result()
            results.append(result)
            if out:
                with out.open("a") as file:
                    file.write(json.dumps(result) + "\n")
            print(f"{count}/{len(wanted)} {time.perf_counter() - begun:.0f} s  {_line(result)}", file=sys.stderr)
    return results


def _prepare() -> None:
    torch.set_num_threads(1)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _one(name: str, standard: bool, others: bool, first_seed: int) -> dict[str, Any]:
    from benchmarks.diagnosis.run import run  # only where it trains, for what it imports

    return run(cases(first_seed)[name], standard, others=others)


def _line(result: dict[str, Any]) -> str:
    told = ", ".join(finding["rule"] for finding in result["findings"]) or "silence"
    return ": ".join([result["case"], told, *([result["error"]] if result["error"] else []), *result["failed"]])
