"""The figures of all detectors, beside those of `Diagnosis`."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.diagnosis.cases import GOOD
from benchmarks.diagnosis.others import DETECTORS

Result = dict[str, Any]


def beside(results: Sequence[Result]) -> list[str]:
    """Returns a table of the runs that others watched, too; nothing if there are none."""
    seen = [result for result in results if result.get("others")]
    faulty = [result for result in seen if result["kind"] != GOOD]
    healthy = [result for result in seen if result["kind"] == GOOD]
    if not seen:
        return []
    lines = [
        f"| detector | of {len(faulty)} faulty runs, any report | names a right cause "
        f"| of {len(healthy)} healthy runs, any report |",
        "|:--|--:|--:|--:|",
    ]
    for name, judge in _judges(seen):
        reported, right = zip(*map(judge, faulty), strict=True) if faulty else ((), ())
        alarms = sum(judge(result)[0] for result in healthy)
        lines.append(f"| {name} | {sum(reported)} | {sum(right)} | {alarms} |")
    return lines


def _judges(seen: list[Result]) -> Iterator[tuple[str, Any]]:
    """Names and, of each, a function that tells of a run if there is any report and if one is right."""
    yield "`Diagnosis`", lambda result: _judged(result, [finding["rule"] for finding in result["findings"]])
    for detector in DETECTORS:
        known = [result["others"][detector.name]["version"] for result in seen if detector.name in result["others"]]
        if known:
            version = f" {known[-1]}"
            yield detector.name + version, lambda result, detector=detector: _judged(result, *_said(result, detector))


def _said(result: Result, detector: Any) -> list[list[str]]:
    reports = result["others"].get(detector.name, {"reports": []})["reports"]
    return [[name for name, _ in reports], [rule for name, _ in reports for rule in detector.meaning.get(name, ())]]


def _judged(result: Result, names: list[str], rules: list[str] | None = None) -> tuple[bool, bool]:
    return bool(names), bool(set(names if rules is None else rules) & set(result["rules"]))
