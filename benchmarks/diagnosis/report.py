"""The figures of all runs, as tables in Markdown."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.cases import GOOD
from benchmarks.diagnosis.others.table import beside

HALVES = ("tuning", "held-out")
Result = dict[str, Any]


def read(path: Path) -> list[Result]:
    """Returns the results in a file, of which each line has one; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wilson(hits: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """Returns the 95 % interval of a rate.

    Reference: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Example:
        >>> low, high = wilson(9, 10)
        >>> round(low, 2), round(high, 2)
        (0.6, 0.98)
    """
    if not runs:
        return 0.0, 1.0
    rate, shrink = hits / runs, 1 + z * z / runs
    centre = (rate + z * z / (2 * runs)) / shrink
    spread = z / shrink * math.sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    return max(0.0, centre - spread), min(1.0, centre + spread)


def report(results: Sequence[Result]) -> str:
    """Returns all tables, for each half of the runs."""
    parts = []
    for half in HALVES:
        some = [result for result in results if result["half"] == half]
        faulty = [result for result in some if result["kind"] != GOOD]
        healthy = [result for result in some if result["kind"] == GOOD]
        if some:
            parts += ["## Runs for tuning" if half == "tuning" else "## Runs held out", ""]
        if faulty:
            parts += [*_faulty(faulty, results), ""]
        if healthy:
            parts += [*_healthy(healthy), ""]
        watched = [result for result in some if result.get("others")]
        if watched:
            parts += [*beside(watched), ""]
    return "\n".join(parts)


def right(result: Result) -> list[dict[str, Any]]:
    """Returns the findings that name the cause of a run's fault."""
    return [finding for finding in result["findings"] if finding["rule"] in result["rules"]]


def first(result: Result) -> bool:
    """Whether the finding named first names the cause."""
    return bool(result["findings"]) and result["findings"][0]["rule"] in result["rules"]


def _faulty(results: list[Result], everything: Sequence[Result]) -> list[str]:
    kinds: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: result["kind"]):
        kinds.setdefault(result["kind"], []).append(result)
    names = (
        "fault",
        "runs",
        "detected",
        "named first",
        "other findings",
        "steps until told",
        "of these since first seen",
    )
    columns = [*names, "accuracy, with fault and without"]
    lines = ["| " + " | ".join(columns) + " |", "|:--" + "|--:" * (len(columns) - 1) + "|"]
    for kind, some in [*kinds.items(), ("**all**", results)]:
        lines.append("| " + " | ".join([kind, *_cells(some, everything)]) + " |")
    detected, named = (sum(bool(test(result)) for result in results) for test in (right, first))
    for words, hits in (("detected", detected), ("named first", named)):
        lines.append(f"\n{words}: {_rate(hits, len(results))}")
    others = [f"- {kind}: {words}" for kind, some in kinds.items() if (words := _others(some))]
    lines += ["\nWhat else was found:\n", *others] if others else []
    return [*lines, *_cost(results)]


def _others(some: list[Result]) -> str:
    found = Counter(
        finding["rule"] for result in some for finding in result["findings"] if finding not in right(result)
    )
    return ", ".join(f"{rule} {count}" for rule, count in found.most_common())


def _cost(results: list[Result]) -> list[str]:
    shares = [result["diagnosis_seconds"] / result["seconds"] for result in results if result["seconds"]]
    lines = [f"\n`Diagnosis` took {statistics.median(shares):.1%} of the time of a run (median)"] if shares else []
    for result in results:
        lines += [f"\n{result['case']}: {words}" for words in result.get("failed", [])]
    return lines


def _cells(some: list[Result], everything: Sequence[Result]) -> list[str]:
    told = [min(right(result), key=lambda finding: finding["told_step"]) for result in some if right(result)]
    begins = [_begin(result) for result in some if right(result)]
    until = [finding["told_step"] - begin for finding, begin in zip(told, begins, strict=True)]
    sight = [finding["told_step"] - finding["first_step"] for finding in told]
    return [
        str(len(some)),
        f"{sum(bool(right(result)) for result in some)}",
        f"{sum(first(result) for result in some)}",
        f"{sum(len(result['findings']) - len(right(result)) for result in some)}",
        _median(until),
        _median(sight),
        f"{_accuracy(some)}, {_accuracy(_twins(some, everything))}",
    ]


def _begin(result: Result) -> int:
    late = "non_finite" in result["rules"] and result["not_finite_at"] is not None
    return result["not_finite_at"] if late else result["begins"]


def _twins(some: list[Result], everything: Sequence[Result]) -> list[Result]:
    places = {(result["network"], result["data"]) for result in some}
    return [
        result
        for result in everything
        if result["variant"] == "as it comes" and (result["network"], result["data"]) in places
    ]


def _accuracy(some: Iterable[Result]) -> str:
    known = [result["val_acc"] for result in some if result["val_acc"] is not None]
    return f"{statistics.median(known):.2f}" if known else "–"


def _median(values: list[int]) -> str:
    return f"{statistics.median(values):.0f}" if values else "–"


def _rate(hits: int, runs: int) -> str:
    low, high = wilson(hits, runs)
    return f"{hits} of {runs}, {hits / runs:.1%} (95 % interval {low:.1%} to {high:.1%})"


def _healthy(results: list[Result]) -> list[str]:
    wrong = [result for result in results if result["findings"]]
    lines = [f"healthy runs with a finding: {_rate(len(wrong), len(results))}", ""]
    for result in wrong:
        told = ", ".join(f"{finding['rule']} ({finding['sure']})" for finding in result["findings"])
        lines.append(f"- {result['case']}: {told}")
    return [*lines, *_cost(results)]
