"""The loss functions that a loss was computed with, and what they compared, read from its autograd graph."""

from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

from lightning_cnnviz.model.torch_internals import class_weights, compared_tensors, graph_below

LossKind: TypeAlias = Literal["classes", "logits", "probabilities", "values"]
"""Of the targets and scores: class indices and a score per class, or 0 and 1 and a logit or a probability each, or
values that are to be met."""

_FUNCTIONS: dict[str, tuple[str, LossKind]] = {
    "NllLossBackward0": ("cross_entropy", "classes"),
    "MultiMarginLossBackward0": ("multi_margin_loss", "classes"),
    "BinaryCrossEntropyWithLogitsBackward0": ("binary_cross_entropy_with_logits", "logits"),
    "BinaryCrossEntropyBackward0": ("binary_cross_entropy", "probabilities"),
    "MseLossBackward0": ("mse_loss", "values"),
    "SmoothL1LossBackward0": ("smooth_l1_loss", "values"),
    "HuberLossBackward0": ("huber_loss", "values"),
}
"""Name of a node in an autograd graph → the function in `torch.nn.functional`, and what it compares."""


class LossCall(NamedTuple):
    """What one loss function compared.

    Attributes:
        name: Name of the function in `torch.nn.functional`.
        kind: What scores and targets are.
        scores: Shape (samples, ...); detached. For a cross-entropy the logarithms of the probabilities.
        targets: Shape (samples,) for `"classes"`, otherwise that of the scores; detached.
        weights: Weight of each class in a cross-entropy, shape (classes,); None where all weigh the same.
    """

    name: str
    kind: LossKind
    scores: Tensor
    targets: Tensor
    weights: Tensor | None = None


def loss_calls(loss: Tensor) -> list[LossCall]:
    """Finds the loss functions in the graph of a loss that has not been propagated back yet.

    Nothing runs and nothing is changed. A loss that is written out in tensor operations or compiled is not found.
    Targets that are one-hot rows become class indices.

    Example:
        >>> import torch
        >>> scores = torch.zeros(5, 3, requires_grad=True)
        >>> loss = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 1, 0])) + scores.abs().sum()
        >>> [(call.name, call.targets.tolist()) for call in loss_calls(loss)]
        [('cross_entropy', [0, 1, 2, 1, 0])]
    """
    found = []
    for node in graph_below(loss, stop=_FUNCTIONS):
        name, kind = _FUNCTIONS.get(node.name(), ("", None))
        compared = compared_tensors(node) if kind is not None else None
        if kind is not None and compared is not None:
            scores, targets = (tensor.detach() for tensor in compared)
            if kind != "classes" and _are_one_hot(targets):
                kind, targets = "classes", targets.argmax(dim=1)
            weights = class_weights(node) if name == "cross_entropy" else None
            found.append(LossCall(name, kind, scores, targets, weights))
    return found


def _are_one_hot(targets: Tensor) -> bool:
    return (
        targets.ndim == 2
        and targets.shape[1] > 1
        and bool(((targets == 0) | (targets == 1)).all())
        and bool((targets.sum(dim=1) == 1).all())
    )
