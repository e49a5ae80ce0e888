"""What a model made of a batch, heard while somebody else ran it: no second forward pass."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_cnnviz.batch import split_batch
from lightning_cnnviz.capture import Tap


class Heard(NamedTuple):
    """A batch and its scores, on the device that it ran on.

    Attributes:
        inputs: Shape (samples, ...), as the model takes them.
        targets: Class numbers, shape (samples,).
        scores: What the model returned, shape (samples, ...); detached.
    """

    inputs: Tensor
    targets: Tensor
    scores: Tensor


class Listener:
    """Hears the class scores of one batch after another, without a trace in copies of itself.

    Example:
        >>> import torch
        >>> net, batch = nn.Linear(4, 3), (torch.ones(5, 4), torch.zeros(5, dtype=torch.long))
        >>> listener = Listener()
        >>> listener.listen(net, batch)
        >>> _ = net(batch[0])
        >>> listener.deafen().scores.shape
        torch.Size([5, 3])
    """

    def __init__(self) -> None:
        self._tap: tuple[Tap, Tensor, Tensor] | None = None

    def listen(self, module: nn.Module, batch: Any, layer: str | None = None) -> None:
        """Listens to the class scores of the coming forward pass, if the batch has inputs and class numbers.

        Args:
            module: The model.
            batch: The batch that it is about to be given.
            layer: Name of the layer whose output are the class scores; None for the model itself.
        """
        self.deafen()  # a step that was skipped may have left its tap
        try:
            inputs, targets = split_batch(batch)
        except ValueError:  # then there is nothing to be heard
            return
        if targets is not None:
            self._tap = Tap(module, len(inputs), layer), inputs, targets

    def deafen(self) -> Heard | None:
        """Stops listening; returns what was heard, None if that was nothing."""
        if self._tap is None:
            return None
        (tap, inputs, targets), self._tap = self._tap, None
        scores = tap.close()
        return None if scores is None else Heard(inputs.detach(), targets, scores)

    def __getstate__(self) -> dict[str, Any]:
        return {"_tap": None}
