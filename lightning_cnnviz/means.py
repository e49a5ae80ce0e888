"""Loss and accuracy of an epoch, from what its batches' own forward passes gave."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn

from lightning_cnnviz.batch import batch_size, predicted_classes
from lightning_cnnviz.capture import first_tensor
from lightning_cnnviz.listener import Listener


class EpochMeans:
    """Means over the samples of an epoch, summed up on the device; nothing is waited for before its end.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> batch = torch.ones(5, 4), torch.zeros(5, dtype=torch.long)
        >>> means = EpochMeans()
        >>> means.listen(net, batch)
        >>> loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
        >>> means.add(loss, batch)
        >>> sorted(means.sums)
        ['accuracy', 'loss']
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        """Quantity → (sum over samples, number of samples)."""
        self._listener = Listener()

    def listen(self, module: nn.Module, batch: Any, layer: str | None = None) -> None:
        """Listens to the class scores of the coming forward pass, if the batch has class numbers."""
        self._listener.listen(module, batch, layer)

    def deafen(self) -> Tensor | None:
        """Stops listening; returns the accuracy of the batch that was heard, a scalar on its device."""
        heard = self._listener.deafen()
        if heard is None:
            return None
        predicted = predicted_classes(heard.scores, len(heard.targets))
        return None if predicted is None else (predicted == heard.targets).float().mean()

    def add(self, outputs: Any, batch: Any, scale: float = 1) -> None:
        """Adds a batch.

        Args:
            outputs: What the step returned: a loss or a mapping with one, or anything else.
            batch: The batch.
            scale: Factor for the loss.
        """
        samples = batch_size(batch)
        loss = first_tensor(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        if loss is not None and loss.numel() == 1:
            self._add("loss", loss.detach().reshape(()) * scale, samples)
        accuracy = self.deafen()
        if accuracy is not None:
            self._add("accuracy", accuracy, samples)

    def end(self, strategy: Strategy) -> dict[str, float]:
        """The means over all ranks (every rank has to call this), and begins anew."""
        means = {}
        for quantity in ("loss", "accuracy"):
            sums = self.sums.get(quantity, torch.zeros(2, device=strategy.root_device))
            total, samples = strategy.reduce(sums, reduce_op="sum").tolist()
            if samples:
                means[quantity] = total / samples
        self.sums = {}
        return means

    def _add(self, quantity: str, mean: Tensor, samples: int) -> None:
        part = torch.stack([mean.float() * samples, torch.full_like(mean, samples, dtype=torch.float32)])
        self.sums[quantity] = self.sums[quantity] + part if quantity in self.sums else part
