"""Class scores: how to recognise them, and the predicted classes and confidences that they give."""

from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

Task: TypeAlias = Literal["multiclass", "binary_logits", "binary_probabilities", "none"]
"""What a model's scores are: a score per class, a single logit or probability per sample, or no class scores."""


def check_task(task: Any) -> Task | None:
    """Checks what a user says of the task.

    Raises:
        ValueError: If it is none that is known.

    Example:
        >>> check_task("multiclass")
        'multiclass'
    """
    if task is not None and task not in get_args(Task):
        raise ValueError(f"expected task to be one of {', '.join(get_args(Task))}, got {task!r}")
    known: Task | None = task
    return known


def predicted_classes(output: Tensor | None, samples: int, logits: Tensor | None = None) -> Tensor | None:
    """Returns the predicted class indices for a classifier's scores.

    Args:
        output: Scores of shape (samples, classes), or for two classes (samples,) or (samples, 1).
        samples: Number of input samples.
        logits: Whether the scores of a single output are logits rather than probabilities, a boolean scalar on their
            device. Default: they are probabilities if all lie in 0…1.

    Returns:
        int64 of shape (samples,), on the output's device; None if the output has another shape.

    Example:
        >>> predicted_classes(torch.tensor([[0.1, 2.0], [1.0, 0.0]]), 2)
        tensor([1, 0])
    """
    if output is None or not are_scores(output, samples):
        return None
    if output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(dim=1)
    scores = output.reshape(-1)
    threshold = torch.where(are_logits(scores) if logits is None else logits, 0.0, 0.5)
    return (scores > threshold).long() if len(scores) == samples else None


def are_scores(output: Tensor, samples: int) -> bool:
    """Whether an output may be class scores, judging by its dtype and shape.

    Args:
        output: What a model or layer returned.
        samples: Number of input samples.

    Example:
        >>> are_scores(torch.rand(5, 3), samples=5)
        True
    """
    wide = output.ndim == 1 or (output.ndim == 2 and output.shape[1] > 0)
    return wide and output.is_floating_point() and len(output) == samples


def are_logits(scores: Tensor) -> Tensor:
    """Whether any of the scores cannot be a probability; a boolean scalar on their device.

    Example:
        >>> are_logits(torch.tensor([0.2, 1.7]))
        tensor(True)
    """
    return ~((scores >= 0) & (scores <= 1)).all()


def confidences(output: Tensor, logits: Tensor | None = None) -> Tensor:
    """Returns the probability of each sample's predicted class.

    Args:
        output: Scores as in `predicted_classes`, or of several batches, shape (batches, samples, classes) with more
            than one class, each batch judged separately. Scores that are probabilities (in 0…1 and, with a column per
            class, summing to 1 in each finite row) are used as they are; others are logits and go through softmax
            or, for a single column, the sigmoid function.
        logits: As in `predicted_classes`.

    Returns:
        float32 of shape (samples,) or (batches, samples), 0…1, on the output's device; NaN if the scores are not
        finite.

    Example:
        >>> confidences(torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
        tensor([0.7500, 1.0000])
    """
    scores = output.detach().float()
    if output.ndim > 1 and output.shape[-1] > 1:
        sums_to_one = (scores >= 0).all(dim=-1) & ((scores.sum(dim=-1) - 1).abs() < 0.01)
        given = (sums_to_one | ~scores.isfinite().all(dim=-1)).all(dim=-1)[..., None, None]
        return torch.where(given, scores, scores.softmax(dim=-1)).amax(dim=-1)
    scores = scores.reshape(-1)
    positive = torch.where(are_logits(scores) if logits is None else logits, scores.sigmoid(), scores)
    return torch.maximum(positive, 1 - positive)
