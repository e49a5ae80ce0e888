"""By how much a network prefers a sample's given class to every other one."""

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 1e-12
"""Probability below which logarithms are cut."""


class Margins(NamedTuple):
    """Numbers of samples, tensors of one shape.

    Attributes:
        margin: Logit of the given class minus the largest of the others; NaN where there is no such class.
        confidence: Softmax probability of the given class, 0…1; NaN likewise.
        predicted: The predicted class index, int64.
    """

    margin: Tensor
    confidence: Tensor
    predicted: Tensor


def sample_margins(scores: Tensor, targets: Tensor, logits: Tensor | bool | None = None) -> Margins:
    """Computes margins and confidences from class scores.

    Of probabilities, which are recognised in each batch by being in 0…1 with a sum of 1, the logarithms take the place
    of the logits: differences of both are the same.

    Args:
        scores: Shape (samples, classes), or (batches, samples, classes); of a single output for two classes, shape
            (samples,) or (batches, samples).
        targets: Class indices, shape (samples,) or (batches, samples); one that is no class gives NaN.
        logits: For a single output: whether it is a logit rather than a probability.

    Returns:
        Tensors of the shape of `targets`, on the device of the scores.

    Example:
        >>> found = sample_margins(torch.tensor([[2.0, 0.5, 0.0], [0.0, 3.0, 1.0]]), torch.tensor([0, 2]))
        >>> found.margin.tolist(), found.predicted.tolist()
        ([1.5, -2.0], [0, 1])
    """
    values = scores.detach().float()
    if values.ndim == targets.ndim:
        known = values.clamp(SMALLEST, 1 - 1e-7).logit()
        single = known if logits is None else torch.where(torch.as_tensor(logits, device=values.device), values, known)
        values = torch.stack([torch.zeros_like(single), single], dim=-1)
    else:
        sums_to_one = (values >= 0).all(dim=-1) & ((values.sum(dim=-1) - 1).abs() < 0.01)
        probabilities = sums_to_one.all(dim=-1)[..., None, None]
        if not values.is_cpu or probabilities.any():  # to ask elsewhere takes longer than not to know
            values = torch.where(probabilities, values.clamp_min(SMALLEST).log(), values)
    classes = values.shape[-1]
    valid = (targets >= 0) & (targets < classes)
    place = targets.clamp(0, classes - 1)[..., None]
    own = values.gather(-1, place)[..., 0]
    others = values.scatter(-1, place, -torch.inf).amax(dim=-1)
    confidence = (own - values.logsumexp(dim=-1)).exp()
    return Margins(
        torch.where(valid, own - others, torch.nan),
        torch.where(valid, confidence, torch.nan),
        values.argmax(dim=-1),
    )
