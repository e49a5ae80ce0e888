"""What a rule has observed, and the finding that it becomes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

Sureness: TypeAlias = Literal["certain", "likely"]


class Observation(NamedTuple):
    """What a rule sees in the evidence.

    Attributes:
        rule: Name of the rule, a key of `CATALOG`.
        evidence: A sentence with the numbers that it rests on.
        since: The first optimizer step at which it can be seen in the numbers.
        layers: Names of the layers that it concerns, in network order; empty for the whole network.
        numbers: The numbers by name.
        sure: `"certain"` where the evidence leaves no other explanation.
    """

    rule: str
    evidence: str
    since: int
    layers: tuple[str, ...] = ()
    numbers: Mapping[str, float] = {}
    sure: Sureness = "likely"


@dataclass(frozen=True)
class Finding:
    """A fault of a training run.

    Attributes:
        rule: Name of the rule, e.g. `"dead_units"`.
        title: The fault in a few words.
        layers: Names of the layers that it concerns, in network order; empty for the whole network.
        first_step: Optimizer step since which it can be seen in the numbers.
        last_step: The last step at which it was seen.
        told_step: The step at which it was found.
        evidence: A sentence with the numbers that it rests on.
        numbers: These numbers by name.
        chart: Tag of the chart that shows them.
        sure: `"certain"` where the evidence leaves no other explanation, otherwise `"likely"`.
        advice: What to try.
        source: Where the rule comes from.
    """

    rule: str
    title: str
    layers: tuple[str, ...]
    first_step: int
    last_step: int
    told_step: int
    evidence: str
    chart: str
    sure: Sureness
    advice: str
    source: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Returns the finding with values that JSON knows."""
        return {**asdict(self), "layers": list(self.layers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Finding":
        """Makes a finding of what `as_dict` has returned.

        Example:
            >>> given = Finding("dead_units", "dead units", ("relu1",), 5, 9, 10, "All.", "", "likely", "", "")
            >>> Finding.from_dict(given.as_dict()) == given
            True
        """
        return cls(**{**values, "layers": tuple(values["layers"])})

    def sentence(self) -> str:
        """Returns the finding in a line: what, where, since when, and on which evidence."""
        where = f" in {_listed(self.layers)}" if self.layers else ""
        doubt = "" if self.sure == "certain" else "probably "
        return f"{doubt}{self.title}{where}, since step {self.first_step}: {self.evidence} {self.advice}"


def _listed(layers: tuple[str, ...], most: int = 3) -> str:
    more = f" and {len(layers) - most} more layers" if len(layers) > most else ""
    return ", ".join(layers[:most]) + more


def findings_markdown(findings: Iterable[Finding]) -> str:
    """Returns findings as Markdown, a paragraph each.

    Example:
        >>> found = Finding("dead_units", "dead units", ("relu1",), 5, 9, 10, "All are.", "", "likely", "Wait.", "")
        >>> findings_markdown([found])
        '**dead units** (relu1), since step 5, likely: All are. *Wait.*'
    """
    return "\n\n".join(
        f"**{one.title}**"
        + (f" ({', '.join(one.layers)})" if one.layers else "")
        + f", since step {one.first_step}, {one.sure}: {one.evidence} *{one.advice}*"
        for one in findings
    )
