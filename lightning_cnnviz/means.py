"""Loss and accuracy of an epoch, from what its batches' own forward passes gave."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn

from lightning_cnnviz.batch import batch_size, predicted_classes
from lightning_cnnviz.capture import first_tensor
from lightning_cnnviz.listener import Listener

MOST_WAITING = 4096
"""Samples whose losses and hits wait to be summed up together, which costs a tenth of doing so for every batch."""


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
        self._losses: list[Tensor] = []
        self._classes: list[Tensor] = []  # predicted and true ones, each of shape (2, samples)
        self._width = 0
        self._samples = 0  # of the waiting losses
        self._waiting = 0
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
        samples = batch_size(batch)
        loss = first_tensor(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        if loss is not None and loss.numel() == 1:
            # A product, so that what waits is a number of its own and not the end of a long tensor.
            self._losses.append(loss.detach().float() * (scale * samples))
            self._samples += samples
        heard = self._listener.deafen()
        predicted = None if heard is None else predicted_classes(heard.scores, len(heard.targets), heard.logits)
        if heard is not None and predicted is not None:
            width = heard.scores.shape[1] if heard.logits is None else 2
            if width != self._width:
                self._sum_up()
            self._width = width
            self._classes.append(torch.stack([predicted, heard.targets]))
        self._waiting += samples
        if self._waiting >= MOST_WAITING:
            self._sum_up()

    def sums(self) -> dict[str, Tensor]:
        """Quantity → (sum over samples, number of samples) so far."""
        self._sum_up()
        return self._sums

    def end(self, strategy: Strategy) -> dict[str, float]:
        """The means over all ranks (every rank has to call this), and begins anew."""
        own = self.sums()
        means = {}
        for quantity in ("loss", "accuracy"):
            sums = own.get(quantity, torch.zeros(2, device=strategy.root_device))
            total, samples = strategy.reduce(sums, reduce_op="sum").tolist()
            if samples:
                means[quantity] = total / samples
        self._sums = {}
        return means

    def _sum_up(self) -> None:
        if self._losses:
            total = torch.stack([loss.reshape(()) for loss in self._losses]).sum()
            self._add("loss", total, torch.full_like(total, self._samples))
        if self._classes:
            predicted, true = torch.cat(self._classes, dim=1)
            counted = (true >= 0) & (true < self._width)
            self._add("accuracy", ((predicted == true) & counted).sum(), counted.sum())
        self._losses, self._classes, self._samples, self._waiting = [], [], 0, 0

    def _add(self, quantity: str, total: Tensor, samples: Tensor) -> None:
        part = torch.stack([total.float(), samples.float()])
        self._sums[quantity] = self._sums[quantity] + part if quantity in self._sums else part
