"""What the training's loss tells about a batch and the model's output: whether, and where, there are classes."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_cnnviz.data.batch import Key, named_tensors
from lightning_cnnviz.data.scores import Task
from lightning_cnnviz.model.loss_calls import LossCall, LossKind, loss_calls

NO_CLASSES = "the loss compares the model's output with values, not with classes"
OTHER_SCORES = 'the class scores in the loss are not what the model returns; name their layer with layers="..."'
OTHER_TARGETS = (
    "the class indices in the loss are not in the batch; log an accuracy in the module, which is then drawn"
)
ONE_OUTPUT = (
    "the loss is written out, so that it is not known whether the model's single output is a logit, a probability or "
    'something else; say it with task="binary_logits" or task="binary_probabilities", or log an accuracy in the module'
)
OTHER_CALL = (
    "the loss is written out and the step does not call the model itself, so that it is not known which layer has the "
    'class scores; name it with scores="..." (layers="..." of the callback)'
)
UNCERTAIN_TARGETS = (
    "the loss is written out, so that it is not known whether the batch has class indices; name them with "
    "targets=<index, key or attribute>"
)
NO_TASK = 'task="none"'
MAX_LOSSES = 10
"""Maximum number of losses in which a loss function is looked for."""


class Verdict(NamedTuple):
    """What the loss has told.

    Attributes:
        reason: Why no accuracy is certain; empty if it is.
        targets: Name and position of the class indices among the batch's tensors, and the number of these; None if
            they are where they were expected.
        logits: For one score per sample: whether it is a logit rather than a probability; None otherwise.
    """

    reason: str = ""
    targets: tuple[Key | None, int, int] | None = None
    logits: bool | None = None

    @property
    def classes_elsewhere(self) -> bool:
        """Whether what was taken for class indices is something else."""
        return self.targets is not None or self.reason in (NO_CLASSES, OTHER_TARGETS, UNCERTAIN_TARGETS)


_OF_TASK: dict[Task, Verdict] = {
    "multiclass": Verdict(),
    "binary_logits": Verdict(logits=True),
    "binary_probabilities": Verdict(logits=False),
    "none": Verdict(NO_TASK),
}


class LossEvidence:
    """Settles, in the first training step whose loss tells it, what scores and class indices are.

    Args:
        settled: Look for nothing, as where the user has said what is what.
        task: What the user has said of the scores.

    Example:
        >>> scores, (images, classes) = torch.eye(3).requires_grad_(), (torch.ones(3, 4), torch.arange(3))
        >>> evidence = LossEvidence()
        >>> evidence.read(torch.nn.functional.mse_loss(scores.argmax(1) + scores.sum(1), torch.ones(3)))
        >>> evidence.read(torch.nn.functional.cross_entropy(scores, 2 - classes))
        >>> evidence.settle(scores.detach(), classes, (images, classes))
        >>> evidence.verdict.reason == OTHER_TARGETS
        True
    """

    def __init__(self, settled: bool = False, task: Task | None = None) -> None:
        self.verdict = Verdict() if settled else None
        if task is not None:
            self.verdict = _OF_TASK[task]
        self.verified = self.verdict is not None
        """Whether the loss, or the user, has told it."""
        self.losses = ""
        """Names of the loss functions that settled it."""
        self._calls: list[LossCall] = []
        self._losses = 0
        self._doubt = ""

    @property
    def so_far(self) -> Verdict:
        """The verdict or, until there is one, what is to be assumed."""
        return self.verdict or Verdict(self._doubt)

    def read(self, loss: Tensor) -> None:
        """Takes down what a loss compares; called before it is propagated back."""
        if self.verdict is None:
            self._calls += loss_calls(loss)
            self._losses += 1

    def settle(self, scores: Tensor, targets: Tensor, batch: Any, *, own: bool = True, certain: bool = True) -> None:
        """Compares the losses of a training step with what is taken for its scores and class indices.

        Args:
            scores: Shape (samples, ...), as the model returned them; detached.
            targets: Class indices, shape (samples,).
            batch: The batch that both are of.
            own: Whether the scores are from a call of the model itself, rather than of a child.
            certain: Whether only these targets in the batch can be class indices.
        """
        calls, self._calls = self._calls, []
        self._doubt = (
            ONE_OUTPUT
            if has_one_output(scores)
            else OTHER_CALL
            if not own
            else UNCERTAIN_TARGETS
            if not certain
            else ""
        )
        if self.verdict is None and calls:
            self.verdict = _judge(calls, scores, targets, batch)
            self.verified = self.verdict is not None
            self.losses = " + ".join(dict.fromkeys(call.name for call in calls))
        self._give_up()

    def skip(self) -> None:
        """Ends a training step of which nothing is taken for scores."""
        self._calls = []
        self._give_up()

    def _give_up(self) -> None:
        if self.verdict is None and self._losses >= MAX_LOSSES:
            self.verdict = self.so_far  # a loss that tells nothing

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_calls": []}


def has_one_output(scores: Tensor) -> bool:
    """Whether there is a single score for each sample, whose meaning only the loss can tell.

    Example:
        >>> has_one_output(torch.zeros(5)), has_one_output(torch.zeros(5, 3))
        (True, False)
    """
    return scores.ndim == 1 or scores.shape[1] == 1


def _judge(calls: list[LossCall], scores: Tensor, targets: Tensor, batch: Any) -> Verdict | None:
    if not scores.isfinite().all():
        return None
    per_sample = [call for call in calls if len(scores) == call.targets.numel() == call.targets.shape[:1].numel()]
    about_classes = [call for call in per_sample if call.kind != "values" and call.targets.ndim > 0]
    matching = [call for call in about_classes if _are_same(call.kind, call.scores, scores)]
    for call in matching:
        if _are_equal(call.targets, targets):
            return Verdict(logits=_are_logits(call, scores))
    for call in matching:
        tensors = named_tensors(batch)
        for position, (name, tensor) in enumerate(tensors):
            if _are_equal(call.targets, tensor):
                return Verdict("", (name, position, len(tensors)), _are_logits(call, scores))
    if matching:
        return Verdict(OTHER_TARGETS)
    if any(call.kind != "classes" and _are_same(call.kind, call.scores, scores) for call in calls):
        return Verdict(NO_CLASSES)
    return Verdict(OTHER_SCORES) if about_classes else None


def _are_same(kind: LossKind, given: Tensor, scores: Tensor) -> bool:
    """Whether a loss function was given the scores that the model returned."""
    if given.ndim == 0 or len(given) != len(scores):
        return False
    given = given.to(scores.device)
    if kind == "classes":  # whose scores may have been scaled and rounded, and have more columns, e.g. for no class
        if given.ndim != 2 or scores.ndim != 2 or given.shape[1] < scores.shape[1]:
            return False
        given = given[:, : scores.shape[1]]
        return torch.equal(given.gather(1, scores.argmax(dim=1, keepdim=True)), given.amax(dim=1, keepdim=True))
    if given.numel() != scores.numel():
        return False
    return _are_close(given, scores) or (kind == "probabilities" and _are_close(given, scores.float().sigmoid()))


def _are_logits(call: LossCall, scores: Tensor) -> bool | None:
    if call.kind == "classes":
        return None
    return call.kind == "logits" or not _are_close(call.scores.to(scores.device), scores)


def _are_close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one.reshape(-1).float(), other.reshape(-1).float(), rtol=1e-3, atol=1e-5)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    if one.numel() != other.numel() or other.ndim > 2 or other.is_complex():
        return False
    return torch.equal(one.reshape(-1).cpu().double(), other.reshape(-1).cpu().double())
