"""What the graph of a loss tells about the loss and the network."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import Node

from lightning_cnnviz.data.batch import named_tensors
from lightning_cnnviz.model.loss_calls import LossCall, loss_calls
from lightning_cnnviz.model.torch_internals import graph_below


class LossFacts(NamedTuple):
    """A loss function in the graph of the loss.

    Attributes:
        name: Its name in `torch.nn.functional`.
        kind: What it compares, see `LossCall`.
        outputs: Scores per sample.
        log_probabilities: Whether the scores can be logarithms of probabilities; of `"classes"` only.
        after_softmax: Name of the function that made probabilities of the scores before; empty if there is none.
        class_indices: Of `"values"`: how many different class indices of the batch are the targets; 0 if they are not.
        beyond: Of logits and probabilities: whether targets lie outside of 0…1.
        weights: Weight of each class, of a cross-entropy; empty where all weigh the same.
    """

    name: str
    kind: str
    outputs: int
    log_probabilities: bool
    after_softmax: str
    class_indices: int
    beyond: bool = False
    weights: tuple[float, ...] = ()


class GraphFacts(NamedTuple):
    """The operations between the loss and the weights.

    Attributes:
        products: Number of convolutions and matrix products with weights.
        linear: Whether nothing but linear operations, pooling and normalisation lies between them.
    """

    products: int
    linear: bool


def _nodes(names: str) -> set[str]:
    """Names of nodes in an autograd graph, those of all overloads of these operations."""
    return {f"{name}Backward{number}" for name in names.split() for number in range(3)}


_PRODUCTS = _nodes("Convolution ConvolutionOverrideable Addmm Mm Linear MkldnnConvolution")
_SHAPES = _nodes(
    "View Alias Reshape ReshapeAlias UnsafeView T Transpose Permute Expand Clone Slice Select Unsqueeze Squeeze Cat "
    "Stack Split SplitWithSizes ToCopy ConstantPadNd AsStrided Repeat Roll Flip Unbind"
)
_LINEAR = _nodes(
    "Add Sub Neg Sum Mean AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D "
    "NativeBatchNorm CudnnBatchNorm MiopenBatchNorm NativeLayerNorm NativeGroupNorm NativeDropout FusedDropout "
    "MaxPool2DWithIndices MaxPool3DWithIndices UpsampleNearest2D UpsampleBilinear2D"
)
_BY_A_CONSTANT = {"MulBackward0", "DivBackward0"}
_LEAF = "torch::autograd::AccumulateGrad"
_TO_PROBABILITIES = {"SoftmaxBackward0": "softmax", "SigmoidBackward0": "sigmoid"}
_APPLY = {"LogSoftmaxBackward0": "cross_entropy", "BinaryCrossEntropyWithLogitsBackward0": ""}


def loss_facts(loss: Tensor, batch: Any) -> list[LossFacts]:
    """Returns what is known of the loss functions in a loss that has not been propagated back yet.

    Args:
        loss: A scalar.
        batch: The batch that it is of.

    Example:
        >>> import torch
        >>> scores = torch.zeros(2, 3, requires_grad=True).softmax(1)
        >>> loss = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 2]))
        >>> [(one.name, one.outputs, one.after_softmax) for one in loss_facts(loss, [])]
        [('cross_entropy', 3, 'softmax')]
    """
    doubled = _doubled(loss)
    found = [_facts(call, doubled, batch) for call in loss_calls(loss)]
    if doubled and not any(one.after_softmax for one in found):
        found.append(LossFacts("cross_entropy", "classes", 0, True, doubled, 0))
    return found


def graph_facts(loss: Tensor) -> GraphFacts | None:
    """Returns what lies between the loss and the weights; None if that is not known.

    Example:
        >>> import torch
        >>> x, layers = torch.ones(2, 4), [torch.nn.Linear(4, 4) for _ in range(2)]
        >>> graph_facts(layers[1](layers[0](x)).sum()), graph_facts(layers[1](layers[0](x).relu()).sum())
        (GraphFacts(products=2, linear=True), GraphFacts(products=2, linear=False))
    """
    nodes = list(graph_below(loss, stop=()))
    products = [node for node in nodes if node.name() in _PRODUCTS]
    below: set[Node] = set()
    waiting = [part for node in products for part, _ in node.next_functions if part is not None]
    while waiting:
        node = waiting.pop()
        if node not in below:
            below.add(node)
            waiting += [part for part, _ in node.next_functions if part is not None]
    if not any(node in below for node in products):
        return None
    return GraphFacts(len(products), all(map(_is_linear, below)))


def _is_linear(node: Node) -> bool:
    name = node.name()
    if name in _BY_A_CONSTANT:
        return any(part is None for part, _ in node.next_functions) or len(node.next_functions) == 1
    return name in _LINEAR or name in _SHAPES or name in _PRODUCTS or name == _LEAF


def _doubled(loss: Tensor) -> str:
    """The function that makes probabilities of what a loss will make probabilities of; empty if there is none."""
    for node in graph_below(loss, stop=_PRODUCTS):
        if node.name() in _APPLY:
            below: Node | None = node.next_functions[0][0]
            while below is not None and below.name() in _SHAPES:
                below = below.next_functions[0][0]
            if below is not None and below.name() in _TO_PROBABILITIES:
                return _TO_PROBABILITIES[below.name()]
    return ""


def _facts(call: LossCall, doubled: str, batch: Any) -> LossFacts:
    outputs = call.scores.shape[1] if call.scores.ndim > 1 else 1
    logarithms = call.name != "cross_entropy" or call.kind != "classes" or not bool((call.scores > 1e-3).any())
    indices = _class_indices(call, batch) if call.kind == "values" else 0
    shares = call.kind in ("logits", "probabilities")
    beyond = shares and bool(((call.targets < 0) | (call.targets > 1)).any())
    after = doubled if call.kind != "values" else ""
    weights = () if call.weights is None else tuple(map(float, call.weights.tolist()))
    return LossFacts(call.name, call.kind, outputs, logarithms, after, indices, beyond, weights)


def _class_indices(call: LossCall, batch: Any) -> int:
    """How many different class indices of the batch are the values to be met; 0 if they are none."""
    targets = call.targets.flatten().double().cpu()
    for _, tensor in named_tensors(batch):
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool or tensor.ndim > 2:
            continue
        whole = tensor.flatten().double().cpu()
        if len(whole) and targets.numel() % len(whole) == 0 and _repeats(targets, whole):
            distinct = torch.unique(whole)
            # Classes are counted from 0, and a batch has most of them; ages and ratings are not.
            return len(distinct) if float(distinct.min()) == 0 and float(distinct.max()) < 2 * len(distinct) else 0
    return 0


def _repeats(targets: Tensor, whole: Tensor) -> bool:
    """Whether targets are class indices, each repeated, or all again and again, as broadcasting makes of them."""
    each, again = targets.view(len(whole), -1).T, targets.view(-1, len(whole))
    return bool((each == whole).all()) or bool((again == whole).all())
