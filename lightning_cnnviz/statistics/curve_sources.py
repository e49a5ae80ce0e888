"""Where the values of each curve come from: a metric that the module logs, or what is computed here."""

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

from lightning_cnnviz.functional.curves import Quantity, Stage, find_metric, metric_variant

Kind: TypeAlias = tuple[Quantity, Stage]
COMPUTED = "computed here"
"""In place of a metric's name: what the module's own forward passes and losses gave."""
_OTHER_STAGE: dict[Stage, Stage] = {"train": "val", "val": "train"}


class CurveSources:
    """Settles once in a run where each curve's values come from, and keeps both curves of a chart comparable.

    A stage's metric is one that this stage has logged in this epoch. Both stages show the same variant (a macro
    average beside a macro average) and the same unit (percent beside percent); where the module logs no such metric,
    the value is computed here, which gives the plain one, or there is no curve.

    Args:
        asked: The metrics that the user named; None for those to be found.

    Example:
        >>> import torch
        >>> sources = CurveSources({("accuracy", "val"): None, ("accuracy", "train"): None})
        >>> sources.value(("accuracy", "val"), {"val_acc": torch.tensor(86.0)}, {"accuracy": 0.86})
        86.0
        >>> round(sources.value(("accuracy", "train"), {}, {"accuracy": 0.9}), 6), sources.names("accuracy")
        (90.0, {'train': 'computed here', 'val': 'val_acc'})
    """

    def __init__(self, asked: Mapping[Kind, str | None]) -> None:
        self._asked = dict(asked)
        self._sources: dict[Kind, str] = {kind: name for kind, name in self._asked.items() if name is not None}
        self._in_percent: dict[Kind, bool] = {}

    def value(self, kind: Kind, fresh: Mapping[str, Tensor], computed: Mapping[str, float]) -> float | None:
        """The value of a curve for an epoch or a validation that has ended; None where there is none.

        Args:
            kind: Quantity and stage.
            fresh: Name → value of the metrics that the stage has logged meanwhile.
            computed: Quantity → value, as computed here.
        """
        quantity = kind[0]
        own = computed.get(quantity)
        source = self._sources.get(kind) or self._find(kind, fresh, own)
        if source is None or (source != COMPUTED and source not in fresh):
            return None
        self._sources[kind] = source
        value = own if source == COMPUTED else float(fresh[source])
        if value is None or quantity == "loss":
            return value
        if source != COMPUTED and not self._in_percent.get(kind):
            self._in_percent[kind] = value > 1 if own is None else abs(value - 100 * own) < abs(value - own)
        return 100 * value if self.percent and not self._in_percent.get(kind) else value

    @property
    def percent(self) -> bool:
        """Whether accuracies are in percent, as the module logs them; otherwise they are fractions."""
        return any(self._in_percent.values())

    def computes_accuracy(self, stage: Stage) -> bool:
        """Whether the accuracy of a stage is computed here, or may have to be."""
        return self._sources.get(("accuracy", stage), COMPUTED) == COMPUTED

    def names(self, quantity: Quantity) -> dict[Stage, str]:
        """Stage → the metric it shows, as far as that is settled."""
        stages: tuple[Stage, Stage] = ("train", "val")
        return {stage: self._sources[quantity, stage] for stage in stages if (quantity, stage) in self._sources}

    def state_dict(self) -> dict[str, str]:
        """What is settled, in plain types."""
        return {"/".join(kind): name for kind, name in self._sources.items()}

    def load_state_dict(self, state: Mapping[str, str]) -> None:
        """Restores what `state_dict` gave; what the user named goes first."""
        for kind in self._asked:
            if self._asked[kind] is None and "/".join(kind) in state:
                self._sources[kind] = state["/".join(kind)]

    def _find(self, kind: Kind, fresh: Mapping[str, Tensor], own: float | None) -> str | None:
        quantity, stage = kind
        other = self._sources.get((quantity, _OTHER_STAGE[stage]))
        variant = None if other is None else () if other == COMPUTED else metric_variant(other, quantity)
        found = find_metric(fresh, quantity, stage, variant)
        if found is None and own is not None and not variant:
            return COMPUTED
        return found
