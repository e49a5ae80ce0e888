"""What a model made of a batch, heard while somebody else ran it: no second forward pass."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_cnnviz.batch import are_logits, split_batch
from lightning_cnnviz.tap import Tap


class Heard(NamedTuple):
    """A batch and its scores, on the device that it ran on.

    Attributes:
        inputs: Shape (samples, ...), as the model takes them.
        targets: Class numbers, shape (samples,), on the scores' device.
        scores: What the model returned, shape (samples, ...); detached.
        logits: Of a single score per sample, whether one of those heard so far can't be a probability, a scalar on
            their device; None with a score per class.
    """

    inputs: Tensor
    targets: Tensor
    scores: Tensor
    logits: Tensor | None = None


class Listener:
    """Hears the class scores of one batch after another, without a trace in copies of itself.

    Once a model was heard by its own call, its children are not listened to any more, which saves most of the time.
    If one day it is not called itself but its children are, one batch is passed over, and then they are for good.

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
        self._children: bool | None = None  # whether to listen to them; None as long as that is open
        self._logits: Tensor | None = None

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
            self._tap = Tap(module, len(inputs), layer, self._children is not False), inputs, targets

    def deafen(self) -> Heard | None:
        """Stops listening; returns what was heard, None if that was nothing."""
        if self._tap is None:
            return None
        (tap, inputs, targets), self._tap = self._tap, None
        scores = tap.close()
        if scores is None:
            if self._children is False:
                self._children = True
            return None
        if self._children is None and tap.heard_own:
            self._children = False
        if scores.ndim == 1 or scores.shape[1] == 1:  # a few logits may look like probabilities, many do not
            found = are_logits(scores)
            self._logits = found if self._logits is None else self._logits | found
        else:
            self._logits = None
        inputs = inputs.detach() if inputs.requires_grad else inputs
        return Heard(inputs, targets.to(scores.device), scores, self._logits)

    def __getstate__(self) -> dict[str, Any]:
        return {"_tap": None, "_children": None, "_logits": None}
