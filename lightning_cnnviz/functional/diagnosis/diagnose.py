"""From evidence to findings, and what was found so far in a run."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from lightning_cnnviz.functional.diagnosis.catalog import CATALOG
from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Finding, Observation
from lightning_cnnviz.functional.diagnosis.rules import (
    CAUSES,
    CONSEQUENCES,
    EXPLAINS,
    HARMLESS_TO_LEARNING,
    SYMPTOMS,
    UNEXPLAINED,
    Rule,
)

_ORDER = {rule: place for place, rule in enumerate(CATALOG)}


def observe(evidence: Evidence, keeps: Callable[[Exception, str], bool] | None = None) -> list[Observation]:
    """Returns what the rules see, causes first; what may follow from them only where none is seen that explains it.

    Args:
        evidence: Of the run.
        keeps: Called with an exception that a rule has raised and the rule in words; returns whether the others are
            to go on. Default: the exception propagates.

    Example:
        >>> observe(Evidence())
        []
    """

    def of(rules: Iterable[Rule]) -> list[Observation]:
        return [one for rule in rules for one in _seen_by(rule, evidence, keeps)]

    seen = _unexplained(of(CAUSES))
    if all(one.rule in HARMLESS_TO_LEARNING for one in seen):
        seen = _unexplained([*seen, *(of(CONSEQUENCES) or of(UNEXPLAINED))])
    seen = seen or of(SYMPTOMS)
    return sorted(seen, key=lambda one: _ORDER[one.rule])


def _seen_by(rule: Rule, evidence: Evidence, keeps: Callable[[Exception, str], bool] | None) -> Sequence[Observation]:
    """What a rule sees; one that fails does so alone."""
    try:
        return list(rule(evidence))
    except Exception as error:
        if keeps is None or not keeps(error, f"the rule {rule.__name__}"):
            raise
        return ()


def _unexplained(seen: Sequence[Observation]) -> list[Observation]:
    explained = {rule for one in seen for rule in EXPLAINS.get(one.rule, ())}
    return [one for one in seen if one.rule not in explained]


class FindingHistory:
    """What was found in a run, each fault once.

    Example:
        >>> history = FindingHistory()
        >>> seen = Observation("dead_units", "All are dead.", since=20, layers=("relu1",))
        >>> [len(history.update([seen], step)) for step in (100, 200)]
        [1, 0]
        >>> [(one.first_step, one.last_step, one.told_step) for one in history.findings]
        [(20, 200, 100)]
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._found = {one.rule: one for one in findings}

    @property
    def findings(self) -> list[Finding]:
        """All findings, the most probable cause first."""
        return sorted(self._found.values(), key=lambda one: _ORDER[one.rule])

    def update(self, seen: Iterable[Observation], step: int) -> list[Finding]:
        """Takes what is seen at a step; returns the findings that are new."""
        new = []
        for one in seen:
            before = self._found.get(one.rule)
            fault = CATALOG[one.rule]
            finding = Finding(
                one.rule,
                fault.title,
                one.layers if before is None else tuple(dict.fromkeys([*before.layers, *one.layers])),
                one.since if before is None else min(before.first_step, one.since),
                step,
                step if before is None else before.told_step,
                one.evidence if before is None else before.evidence,
                fault.chart,
                one.sure,
                fault.advice,
                fault.source,
                _finite(one.numbers) if before is None else before.numbers,
            )
            self._found[one.rule] = finding
            if before is None:
                new.append(finding)
        return new


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
