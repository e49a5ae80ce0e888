"""Loss and accuracy of an epoch, from the user's own forward passes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn

from lightning_cnnviz.data.batch import Key, batch_size
from lightning_cnnviz.data.scores import predicted_classes
from lightning_cnnviz.model.loss_evidence import LossEvidence
from lightning_cnnviz.model.outputs import first_tensor, plain
from lightning_cnnviz.model.score_listener import ScoreListener
from lightning_cnnviz.statistics.step_buffer import StepBuffer


class _BatchSpec(NamedTuple):
    """Properties shared by all buffered batches; `classes` is 0 if there are no scores."""

    samples: int
    scale: float
    classes: int
    loss: bool


class EpochMeans:
    """Means over the samples of an epoch, accumulated on the device, which is synchronised only at the end.

    Args:
        inputs: Index, key or attribute of the inputs in a batch; see `split_batch`.
        targets: Index, key or attribute of the class indices in a batch.
        evidence: What the training's loss has told. Default: nothing is to be known from it.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> batch = torch.ones(5, 4), torch.zeros(5, dtype=torch.long)
        >>> means = EpochMeans()
        >>> means.start_capture(net, batch)
        >>> loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
        >>> means.add(loss, batch)
        >>> sorted(means.sums())
        ['accuracy', 'loss']
    """

    def __init__(
        self, inputs: Key | None = None, targets: Key | None = None, evidence: LossEvidence | None = None
    ) -> None:
        self._sums: dict[str, Tensor] = {}
        self._buffer = StepBuffer(self._read)
        self._spec = _BatchSpec(samples=0, scale=1.0, classes=0, loss=False)
        self._listener = ScoreListener(inputs, targets, evidence)

    @property
    def words(self) -> str:
        """What is taken for what, in one line, as soon as the loss has settled it."""
        return self._listener.words

    def start_capture(self, module: nn.Module, batch: Any, layer: str | None = None) -> None:
        """Starts capturing the class scores of the next forward pass, if the batch has class indices."""
        self._listener.start(module, batch, layer)

    def stop_capture(self) -> None:
        """Stops capturing; scores of a batch that was not added are discarded."""
        self._listener.stop()

    def add(self, outputs: Any, batch: Any, scale: float = 1) -> None:
        """Adds a batch. Targets that are not a class of the model, such as an `ignore_index`, are excluded.

        Args:
            outputs: The step's return value: a loss, a mapping with a `"loss"`, or anything else.
            batch: The batch.
            scale: Factor for the loss.
        """
        loss = first_tensor(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        with_loss = loss is not None and loss.numel() == 1
        tensors = [plain(loss.detach())] if loss is not None and with_loss else []
        captured = self._listener.stop()
        samples, classes = batch_size(batch) if captured is None else len(captured.targets), 0
        if captured is not None and captured.logits is None:
            classes = captured.scores.shape[1]
            tensors += [captured.scores, captured.targets]
        elif (
            captured is not None
            and (predicted := predicted_classes(captured.scores, samples, captured.logits)) is not None
        ):
            classes = 2
            tensors += [predicted, captured.targets]
        spec = _BatchSpec(samples, scale, classes, with_loss)
        if spec != self._spec:
            self._buffer.read()
            self._spec = spec
        if tensors and not self._buffer.add(tensors):
            self._read([tensor[None] for tensor in tensors])

    def sums(self) -> dict[str, Tensor]:
        """Returns the sums so far: quantity → (sum over samples, number of samples), shape (2,)."""
        self._buffer.read()
        return self._sums

    def end(self, strategy: Strategy) -> dict[str, float]:
        """Returns the means over all ranks (every rank must call this) and resets the sums."""
        failure = None
        try:
            self._buffer.read()
        except Exception as error:  # raised later: the other ranks wait in the reduction
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
        samples, scale, classes, loss = self._spec
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
        self._buffer.read()
        return self.__dict__
