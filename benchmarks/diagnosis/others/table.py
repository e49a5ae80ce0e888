"""The figures of all detectors, beside those of `Diagnosis`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.diagnosis.cases import GOOD
from benchmarks.diagnosis.others import DETECTORS, Watcher

Result = dict[str, Any]


def beside(results: Sequence[Result]) -> list[str]:
    """Returns a table of runs that others watched, too, and what each detector said of healthy ones."""
    faulty = [result for result in results if result["kind"] != GOOD]
    healthy = [result for result in results if result["kind"] == GOOD]
    lines = [
        f"| detector | version | of {len(faulty)} faulty runs, with a report | with one that names a right cause "
        f"| of {len(healthy)} healthy runs, with a report |",
        "|:--|:--|--:|--:|--:|",
    ]
    alarms = []
    for detector in (None, *DETECTORS):
        if detector is not None and all(detector.name not in result["others"] for result in results):
            continue
        reported = sum(bool(_said(result, detector)) for result in faulty)
        right = sum(bool(_meant(result, detector) & set(result["rules"])) for result in faulty)
        wrong = Counter(name for result in healthy for name in _said(result, detector))
        name = detector.name if detector else "`Diagnosis`"
        cells = [name, _version(results, detector), reported, right, sum(bool(_said(r, detector)) for r in healthy)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
        if wrong:
            told = ", ".join(f"{what} {count}" for what, count in wrong.most_common())
            alarms.append(f"- {name}: {told}")
    return [*lines, "", "What was said of healthy runs:", "", *alarms] if alarms else lines


def _said(result: Result, detector: type[Watcher] | None) -> set[str]:
    """What a detector, or `Diagnosis`, said of a run, in its own words."""
    if detector is None:
        return {finding["rule"] for finding in result["findings"]}
    return {name for name, _ in result["others"].get(detector.name, {"reports": []})["reports"]}


def _meant(result: Result, detector: type[Watcher] | None) -> set[str]:
    """The same in names of rules."""
    said = _said(result, detector)
    return said if detector is None else {rule for name in said for rule in detector.meaning.get(name, ())}


def _version(results: Sequence[Result], detector: type[Watcher] | None) -> str:
    if detector is None or not detector.package:
        return "–"
    return ", ".join(sorted({r["others"][detector.name]["version"] for r in results if detector.name in r["others"]}))
