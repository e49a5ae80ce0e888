"""The figures of the suite, as numbers and as a table."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.check import Finding
from tests.faults.plan import SHARES

COLUMNS: dict[str, Callable[[Finding], Any]] = {
    "runs": lambda one: 1,
    "faults injected": lambda one: one.happened,
    "trained to the end": lambda one: one.finished,
    "pictures": lambda one: one.pictures,
    "pictures lost": lambda one: one.lost,
    "changed results": lambda one: one.changed,
    "orphans": lambda one: one.orphans,
    "temporary files": lambda one: one.leftovers,
    "anything wrong": lambda one: bool(one.wrong),
}


def summary(found: Sequence[Finding], seed: int, seconds: float) -> tuple[dict[str, Any], str]:
    """Sums over all runs, and a Markdown table with a row per fault."""

    def sums(some: Sequence[Finding]) -> dict[str, int]:
        return {name: sum(int(count(one)) for one in some) for name, count in COLUMNS.items()}

    rows = {fault: sums([one for one in found if one.case.fault == fault]) for fault in SHARES}
    rows = {fault: row for fault, row in rows.items() if row["runs"]}
    total = sums(found)
    lines = [f"| fault | {' | '.join(COLUMNS)} |", f"|:--|{'--:|' * len(COLUMNS)}"]
    for fault, row in [*rows.items(), ("**all**", total)]:
        lines.append(f"| {fault} | {' | '.join(map(str, row.values()))} |")
    return {"seed": seed, "seconds": round(seconds), "faults": rows, "all": total}, "\n".join(lines)
