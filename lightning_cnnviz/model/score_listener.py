"""Class scores of the user's own forward passes, captured without a second pass."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_cnnviz.data.batch import (
    Key,
    class_indices_at,
    named_tensors,
    place_in_words,
    split_batch,
    targets_are_certain,
)
from lightning_cnnviz.data.scores import are_logits
from lightning_cnnviz.model.loss_evidence import LossEvidence, has_one_output
from lightning_cnnviz.model.output_tap import OutputTap


class ScoredBatch(NamedTuple):
    """A batch and its class scores, on the device on which it ran.

    Attributes:
        inputs: Shape (samples, ...), of images with the channels first, as far as that is certain; see `ImageAxes`.
        targets: Class indices, shape (samples,), on the scores' device.
        scores: The model's class scores, shape (samples, ...); detached.
        logits: For a single score per sample: whether any captured so far cannot be a probability, a boolean scalar
            on their device. None with a score per class.
    """

    inputs: Tensor
    targets: Tensor
    scores: Tensor
    logits: Tensor | None = None


class ScoreListener:
    """Captures the class scores of one batch after another; copies of a listener are not capturing.

    Once the model's own call has been captured, hooks on its children are no longer installed, which saves most of
    the overhead. If the model later stops being called itself, one batch is missed; from then on the children have
    hooks for good.

    Args:
        inputs: Index, key or attribute of the inputs in a batch; see `split_batch`.
        targets: Index, key or attribute of the class indices in a batch.
        evidence: What the training's loss has told. Default: nothing is to be known from it.

    Example:
        >>> import torch
        >>> net, batch = nn.Linear(4, 3), (torch.ones(5, 4), torch.zeros(5, dtype=torch.long))
        >>> listener = ScoreListener()
        >>> listener.start(net, batch)
        >>> _ = net(batch[0])
        >>> listener.stop().scores.shape
        torch.Size([5, 3])
    """

    def __init__(
        self, inputs: Key | None = None, targets: Key | None = None, evidence: LossEvidence | None = None
    ) -> None:
        self._keys = inputs, targets
        self.evidence = LossEvidence(settled=True) if evidence is None else evidence
        self.words = ""
        """What is taken for what, in one line, as soon as the loss has settled it."""
        self._tap: tuple[OutputTap, Tensor, Tensor, Any] | None = None
        self._tap_children: bool | None = None  # whether children get hooks; None while undecided
        self._logits: Tensor | None = None
        self._layer_named = False

    def start(self, module: nn.Module, batch: Any, layer: str | None = None) -> None:
        """Starts capturing the class scores of the next forward pass, if the batch has inputs and class indices.

        Args:
            module: The model.
            batch: The batch that the model is about to receive.
            layer: Name of the layer that outputs the class scores; None for the model itself.
        """
        self.stop()  # a skipped step may have left its tap
        self._layer_named = layer is not None
        verdict = self.evidence.verdict
        if verdict is not None and verdict.reason:
            return
        try:
            inputs, targets = split_batch(batch, *self._keys)
        except ValueError:  # no inputs, so no scores to capture
            return
        if verdict is not None and verdict.targets is not None:
            targets = class_indices_at(batch, verdict.targets, len(inputs))
        if targets is not None:
            tap = OutputTap(module, len(inputs), layer, self._tap_children is not False, inputs)
            self._tap = tap, inputs, targets, batch

    def stop(self) -> ScoredBatch | None:
        """Stops capturing; returns the batch with its scores, None if none were captured."""
        if self._tap is None:
            self.evidence.skip()
            return None
        (tap, inputs, targets, batch), self._tap = self._tap, None
        scores = tap.close()
        if scores is None:
            self.evidence.skip()
            if self._tap_children is False:
                self._tap_children = True
            return None
        if self._tap_children is None and tap.captured_own:
            self._tap_children = False
        unsettled = self.evidence.verdict is None
        certain = self.evidence.verified or targets_are_certain(batch, inputs, self._keys[1])
        own = tap.captured_own
        self.evidence.settle(scores, targets, batch, own=own or self._layer_named, certain=certain)
        verdict = self.evidence.verdict
        if self.evidence.so_far.reason:
            return None
        place = place_in_words(batch, targets) if unsettled else ""
        if verdict is not None and verdict.targets is not None:
            found_targets = class_indices_at(batch, verdict.targets, len(inputs))
            targets = targets if found_targets is None else found_targets
            place = place_in_words(batch, named_tensors(batch)[verdict.targets[1]][1]) if unsettled else ""
        if unsettled and verdict is not None:
            self.words = _in_words(batch, inputs, place, scores, self.evidence.losses)
        if has_one_output(scores):  # a few logits may all lie in 0…1, many do not
            told = None if verdict is None else verdict.logits
            found = are_logits(scores) if told is None else torch.tensor(told, device=scores.device)
            self._logits = found if self._logits is None or told is not None else self._logits | found
        else:
            self._logits = None
        inputs = inputs.detach() if inputs.requires_grad else inputs
        return ScoredBatch(tap.planes(inputs), targets.to(scores.device), scores, self._logits)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "_keys": self._keys,
            "evidence": self.evidence,
            "words": self.words,
            "_tap": None,
            "_tap_children": None,
            "_logits": None,
            "_layer_named": False,
        }


def _in_words(batch: Any, inputs: Tensor, targets: str, scores: Tensor, losses: str) -> str:
    size = "×".join(map(str, inputs.shape[1:]))
    classes = 2 if has_one_output(scores) else scores.shape[1]
    return (
        f"lightning_cnnviz reads: image = {place_in_words(batch, inputs)} ({size}), class = {targets} "
        f"({classes} classes), scores = output of the model, loss = {losses or 'written out, not recognised'}"
    )
