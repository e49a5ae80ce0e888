"""Loss and accuracy of an epoch, from what its batches' own forward passes gave."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn

from lightning_cnnviz.batch import batch_size, predicted_classes
from lightning_cnnviz.capture import first_tensor
from lightning_cnnviz.listener import Listener
from lightning_cnnviz.waiting import Waiting


class _Kind(NamedTuple):
    """What all batches that wait to be read together have in common; no classes, no scores."""

    samples: int
    scale: float
    classes: int
    loss: bool


class EpochMeans:
    """Means over the samples of an epoch, summed up on the device; nothing is waited for before its end.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> batch = torch.ones(5, 4), torch.zeros(5, dtype=torch.long)
        >>> means = EpochMeans()
        >>> means.listen(net, batch)
        >>> loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
        >>> means.add(loss, batch)
        >>> sorted(means.sums())
        ['accuracy', 'loss']
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._waiting = Waiting(self._read)
        self._kind = _Kind(samples=0, scale=1.0, classes=0, loss=False)
        self._listener = Listener()

    def listen(self, module: nn.Module, batch: Any, layer: str | None = None) -> None:
        """Listens to the class scores of the coming forward pass, if the batch has class numbers."""
        self._listener.listen(module, batch, layer)

    def deafen(self) -> None:
        """Stops listening; what was heard of a batch that is not added does not count."""
        self._listener.deafen()

    def add(self, outputs: Any, batch: Any, scale: float = 1) -> None:
        """Adds a batch. Targets that are no class of the model, such as an `ignore_index`, do not count.

        Args:
            outputs: What the step returned: a loss or a mapping with one, or anything else.
            batch: The batch.
            scale: Factor for the loss.
        """
        loss = first_tensor(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        with_loss = loss is not None and loss.numel() == 1
        tensors = [loss.detach()] if loss is not None and with_loss else []
        heard = self._listener.deafen()
        samples, classes = batch_size(batch) if heard is None else len(heard.targets), 0
        if heard is not None and heard.logits is None:
            classes = heard.scores.shape[1]
            tensors += [heard.scores, heard.targets]
        elif heard is not None and (predicted := predicted_classes(heard.scores, samples, heard.logits)) is not None:
            classes = 2
            tensors += [predicted, heard.targets]
        kind = _Kind(samples, scale, classes, with_loss)
        if kind != self._kind:
            self._waiting.read()
            self._kind = kind
        if tensors and not self._waiting.add(tensors):
            self._read([tensor[None] for tensor in tensors])

    def sums(self) -> dict[str, Tensor]:
        """Quantity → (sum over samples, number of samples) so far."""
        self._waiting.read()
        return self._sums

    def end(self, strategy: Strategy) -> dict[str, float]:
        """The means over all ranks (every rank has to call this), and begins anew."""
        failure = None
        try:
            self._waiting.read()
        except Exception as error:  # the other ranks wait for this one
            failure = error
        (own, self._sums), means = (self._sums, {}), {}
        for quantity in ("loss", "accuracy"):
            sums = own.get(quantity, torch.zeros(2, device=strategy.root_device))
            total, samples = strategy.reduce(sums, reduce_op="sum").tolist()
            if samples:
                means[quantity] = total / samples
        if failure is not None:
            raise failure
        return means

    def _read(self, copies: list[Tensor]) -> None:
        samples, scale, classes, loss = self._kind
        if loss:
            total = copies[0].float().sum() * (scale * samples)
            self._add("loss", total, torch.full_like(total, samples * len(copies[0])))
        if classes:
            scores, true = copies[-2:]
            predicted = scores.argmax(dim=2) if scores.ndim == 3 else scores
            counted = (true >= 0) & (true < classes)
            self._add("accuracy", ((predicted == true) & counted).sum(), counted.sum())

    def _add(self, quantity: str, total: Tensor, samples: Tensor) -> None:
        part = torch.stack([total.float(), samples.float()])
        self._sums[quantity] = self._sums[quantity] + part if quantity in self._sums else part

    def __getstate__(self) -> dict[str, Any]:
        self._waiting.read()
        return self.__dict__
