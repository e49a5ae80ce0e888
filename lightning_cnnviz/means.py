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

    def deafen(self) -> tuple[Tensor, Tensor] | None:
        """Stops listening; returns the hits in the batch that was heard and the samples that have a class.

        Targets that are no class of the model, such as an `ignore_index`, are not counted.
        """
        heard = self._listener.deafen()
        predicted = None if heard is None else predicted_classes(heard.scores, len(heard.targets), heard.logits)
        if heard is None or predicted is None:
            return None
        classes = heard.scores.shape[1] if heard.logits is None else 2
        counted = (heard.targets >= 0) & (heard.targets < classes)
        return ((predicted == heard.targets) & counted).sum(), counted.sum()

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
            total = loss.detach().reshape(()).float() * scale * samples
            self._add("loss", total, torch.full_like(total, samples))
        if (found := self.deafen()) is not None:
            self._add("accuracy", *found)

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

    def _add(self, quantity: str, total: Tensor, samples: Tensor) -> None:
        part = torch.stack([total.float(), samples.float()])
        self.sums[quantity] = self.sums[quantity] + part if quantity in self.sums else part
