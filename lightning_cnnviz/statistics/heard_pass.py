"""Activations of fixed samples, put together from the batches of the user's own validation."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_cnnviz.model.capture import Activations
from lightning_cnnviz.model.forward_tap import Heard


class HeardPass:
    """Activations of fixed samples, captured in one validation.

    Nothing is returned unless every batch held the expected samples, and no layer that was missing in one of the
    batches, so that what is returned is what a pass of our own on these samples would give.

    Args:
        inputs: The samples, shape (samples, ...), on the CPU.
        places: Number of its batch, and row in the batch, of each sample.
        layers: Names of the layers to capture.
        step: Optimizer step of the validation.

    Example:
        >>> x = torch.rand(2, 4)
        >>> heard = HeardPass(x, [(3, 1), (3, 0)], ["fc"], step=10)
        >>> heard.rows(3)
        [1, 0]
        >>> heard.add(3, Heard(x[[1, 0]], None, {"fc": torch.tensor([[5.0], [6.0]])}))
        >>> heard.activations().layers["fc"].tolist()
        [[5.0], [6.0]]
    """

    def __init__(self, inputs: Tensor, places: Sequence[tuple[int, int]], layers: Sequence[str], step: int) -> None:
        self.step, self.count = step, len(inputs)
        self.layers = list(layers)
        self._inputs = inputs
        self._rows: dict[int, list[int]] = defaultdict(list)
        self._samples: dict[int, list[int]] = defaultdict(list)
        for sample, (batch, row) in enumerate(places):
            self._rows[batch].append(row)
            self._samples[batch].append(sample)
        self._parts: list[tuple[list[int], Heard]] = []
        self._sizes: set[int] = set()
        self._usable = True

    @property
    def several_sizes(self) -> bool:
        """Whether the batches differed in size, so that a first dimension that followed it is that of the samples."""
        return len(self._sizes) > 1

    def rows(self, batch: int) -> list[int]:
        """Returns the rows of a batch whose activations are wanted; none once the pass is of no use."""
        return self._rows[batch] if self._usable and batch in self._rows else []

    def spoil(self) -> None:
        """Makes the pass of no use."""
        self._usable = False

    def add(self, batch: int, heard: Heard | None) -> None:
        """Takes the activations of the rows of a batch; its inputs and scores are those of all rows.

        Args:
            batch: Number of the batch in the validation.
            heard: What was captured; None if that is uncertain.
        """
        rows, samples = self._rows[batch], self._samples[batch]
        self._usable = self._usable and heard is not None and max(rows) < len(heard.inputs)
        if self._usable and heard is not None:
            inputs = _rows_of(heard.inputs, rows)
            scores = None if heard.scores is None else _rows_of(heard.scores, rows)
            self._parts.append((samples, Heard(inputs, scores, heard.layers)))
            self._sizes.add(len(heard.inputs))
            self._usable = inputs.dtype == self._inputs.dtype and torch.equal(inputs, self._inputs[samples])

    def activations(self) -> Activations | None:
        """Returns the activations of all samples, in their order; None if any is missing or uncertain."""
        if not self._usable or len(self._parts) < len(self._rows):
            return None
        order = torch.tensor([sample for samples, _ in self._parts for sample in samples]).argsort()
        parts = [heard for _, heard in self._parts]
        scores = [heard.scores for heard in parts if heard.scores is not None]
        ran = [name for name in self.layers if all(name in heard.layers for heard in parts)]
        layers = {name: [heard.layers[name] for heard in parts] for name in ran}
        if any(len({rows.shape[1:] for rows in tensors}) > 1 for tensors in [*layers.values(), scores]):
            return None
        return Activations(
            torch.cat(scores)[order] if len(scores) == len(parts) else None,
            {name: torch.cat(tensors)[order] for name, tensors in layers.items()},
        )


def _rows_of(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    return tensor.detach()[torch.tensor(rows, device=tensor.device)].to("cpu", copy=True)
