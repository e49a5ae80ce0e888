"""Which of the metrics in `trainer.callback_metrics` were logged since a moment."""

from collections.abc import Mapping

from torch import Tensor


class FreshMetrics:
    """Separates the metrics that were logged since the last `mark` from those of earlier epochs or of another stage.

    Lightning keeps a metric in `trainer.callback_metrics` after its epoch, as a tensor that stays the same object
    until the metric is logged again: in a later epoch, or by the other stage under the same name.

    Example:
        >>> import torch
        >>> metrics, fresh = {"val_acc": torch.tensor(0.7)}, FreshMetrics()
        >>> fresh.mark(metrics)
        >>> metrics["loss"] = torch.tensor(0.2)
        >>> list(fresh.since_mark(metrics))
        ['loss']
    """

    def __init__(self) -> None:
        self._marked: dict[str, Tensor] = {}

    def mark(self, metrics: Mapping[str, Tensor]) -> None:
        """Remembers what is there now."""
        self._marked = dict(metrics)

    def since_mark(self, metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name → value of what was logged since then."""
        return {name: value for name, value in metrics.items() if value is not self._marked.get(name)}
