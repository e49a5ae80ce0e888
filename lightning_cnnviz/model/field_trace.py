"""Receptive fields followed through a forward pass, function by function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lightning_cnnviz.model.field_axis import Axis, union
from lightning_cnnviz.model.outputs import tensors_in

Field: TypeAlias = tuple[Axis | None, ...]
"""For each dimension of a tensor its axis, None where it is none of space."""
CONVOLVE = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
CONVOLVE_BACK = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
AVERAGE_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode")
POINTWISE = {
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh", "hardtanh"),
    *("hardswish", "hardsigmoid", "softplus", "softsign", "prelu", "rrelu", "threshold", "logsigmoid", "hardshrink"),
    *("clamp", "clamp_min", "clamp_max", "clip", "abs", "neg", "exp", "log", "sqrt", "square", "pow", "softshrink"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
    *("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm", "local_response_norm", "linear"),
    *("contiguous", "clone", "detach", "alias", "to", "type", "type_as", "float", "half", "bfloat16", "double"),
    *("add", "iadd", "radd", "sub", "isub", "rsub", "mul", "imul", "rmul", "div", "idiv", "rdiv", "multiply"),
    *("truediv", "itruediv", "rtruediv", "subtract", "divide", "maximum", "minimum", "addcmul", "lerp"),
    *("cat", "concat", "concatenate"),
}
"""Functions that compute each place from the same place, without the underscores of methods and of in-place forms.

Normalisations count as such, though their statistics may be those of the whole map; see `FieldTrace`."""


class FieldTrace(TorchFunctionMode):
    """Context of a forward pass in which the receptive field of what each function returns is noted.

    A factor that is the same at every place, such as that of squeeze-and-excitation, and the statistics of a
    normalisation do not widen a field: they do not tell where something is.

    Args:
        model: The model; its parameters and buffers depend on no pixel.
        inputs: What it will be called with, shape (samples, channels, *size).

    Example:
        >>> import torch
        >>> net, x = nn.Conv2d(1, 2, 3), torch.rand(1, 1, 8, 8)
        >>> with FieldTrace(net, x) as trace:
        ...     y = net(x)
        >>> trace.field(y)[2].extent, trace.field(y)[2].high.tolist()
        (3, [2, 3, 4, 5, 6, 7])
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self._seen: list[Tensor] = [inputs]  # alive, so that no other tensor gets the identity of one
        self._fields: dict[int, Field | None] = {}
        self._constant = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self._fields[id(inputs)] = (None, None, *map(Axis.of_image, inputs.shape[2:]))

    def field(self, tensor: Tensor) -> Field | None:
        """Returns a tensor's receptive field; None if it is unknown."""
        return self._fields.get(id(tensor))

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        given = [(tensor, tuple(tensor.shape)) for tensor in tensors_in((args, options))]
        name = getattr(function, "__name__", "").strip("_")
        before = self._fields.get(id(args[0])) if args and isinstance(args[0], Tensor) else None
        result = function(*args, **options)
        made = list(tensors_in(result))
        if name == "setitem":
            self._fields[id(args[0])] = None
        constant = all(id(tensor) in self._constant for tensor, _ in given)
        for tensor in made:
            if isinstance(tensor, nn.Parameter):
                continue
            self._seen.append(tensor)
            if constant:
                self._constant.add(id(tensor))
                continue
            try:
                self._fields[id(tensor)] = self._rule(name, before, given, args, options, tensor)
            except (IndexError, KeyError, TypeError, ValueError):  # arguments that no rule knows
                self._fields[id(tensor)] = None
            self._constant.discard(id(tensor))
        return result

    def _rule(
        self,
        name: str,
        field: Field | None,
        given: Sequence[tuple[Tensor, tuple[int, ...]]],
        args: Sequence[Any],
        options: Mapping[str, Any],
        made: Tensor,
    ) -> Field | None:
        """The field of what a function made; None if it is unknown."""
        if name in POINTWISE:
            return self._merged(given, tuple(made.shape))
        if field is None:
            return None
        shape = tuple(made.shape)
        space = [dimension for dimension, axis in enumerate(field) if axis is not None]
        window = _windows(name, args, options)
        if window is not None:
            return _slid(field, shape, *window)
        if name.startswith("adaptive_") and "pool" in name:
            return _each(field, shape, lambda axis, places: axis.pooled_to(places))
        if name in ("mean", "sum", "amax") and len(shape) == len(field):
            reduced = [d for d in space if shape[d] == 1]
            same = all(shape[d] == len(_axis(field, d).low) for d in space if d not in reduced)
            return tuple(_narrowed(axis, d in reduced) for d, axis in enumerate(field)) if same else None
        if name == "pad":
            return _padded(field, args, options)
        if name in ("interpolate", "upsample"):
            return _interpolated(field, shape, options)
        if name in ("permute", "transpose", "swapaxes"):
            return _reordered(name, field, args, options)
        if name in ("view", "reshape", "chunk", "split", "getitem", "unflatten"):
            return _kept(name, field, shape, args)
        return None

    def _merged(self, given: Sequence[tuple[Tensor, tuple[int, ...]]], shape: tuple[int, ...]) -> Field | None:
        fields: list[Field] = []
        narrow = False
        for tensor, size in given:
            if id(tensor) in self._constant:
                continue
            field = self.field(tensor)
            padding = (1,) * (len(shape) - len(size))
            aligned = (*padding, *size)
            if field is not None:
                fields.append((*[None] * len(padding), *field))
            elif any(extent > 1 for extent in aligned[2:]) or len(shape) < 3:
                return None
            else:
                narrow = True
        merged: list[Axis | None] = []
        for dimension, places in enumerate(shape):
            axes = [axis for field in fields if (axis := field[dimension]) is not None]
            wide = [axis for axis in axes if len(axis.low) == places]
            merged.append(union(wide) if wide else None)
        known = any(axis is not None for axis in merged)
        return tuple(merged) if known and not (narrow and not fields) else None


def _axis(field: Field, dimension: int) -> Axis:
    axis = field[dimension]
    assert axis is not None
    return axis


def _narrowed(axis: Axis | None, reduced: bool) -> Axis | None:
    return Axis.whole(1, axis.pixels) if axis is not None and reduced else axis


def _named(names: Sequence[str], args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names, args, strict=False)), **options}


def _windows(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """The window of a convolution or pooling, and whether it is a transposed one; None if it is neither."""
    if name in ("conv1d", "conv2d", "conv3d"):
        found = _named(CONVOLVE, args, options)
        return {"kernel": tuple(found["weight"].shape[2:]), **found}, False
    if name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
        found = _named(CONVOLVE_BACK, args, options)
        return {"kernel": tuple(found["weight"].shape[2:]), **found}, True
    if name.startswith("max_pool"):
        found = _named(MAX_POOL, args, options)
    elif name.startswith("avg_pool"):
        found = _named(AVERAGE_POOL, args, options)
    else:
        return None
    kernel = found["kernel_size"]
    return {**found, "kernel": kernel, "stride": found.get("stride") or kernel}, False


def _slid(field: Field, shape: Sequence[int], window: Mapping[str, Any], back: bool) -> Field:
    axes = field[2:]
    kernel, stride, dilation = (_each_of(window.get(part, 1), len(axes)) for part in ("kernel", "stride", "dilation"))
    padding = window.get("padding", 0)
    if padding == "same":
        left = [step * (width - 1) // 2 for width, step in zip(kernel, dilation, strict=True)]
    else:
        left = _each_of(0 if padding == "valid" else padding, len(axes))
    slid: list[Axis] = []
    for number, axis in enumerate(axes):
        if axis is None:
            raise ValueError("a window over what is not space")
        move = axis.transposed if back else axis.windows
        slid.append(move(kernel[number], stride[number], left[number], dilation[number], shape[number + 2]))
    return (None, None, *slid)


def _each_of(value: Any, axes: int) -> list[int]:
    values = [int(part) for part in value] if isinstance(value, Sequence) else [int(value)]
    return values * axes if len(values) == 1 else values


def _each(field: Field, shape: Sequence[int], change: Callable[[Axis, int], Axis]) -> Field:
    return tuple(None if axis is None else change(axis, shape[at]) for at, axis in enumerate(field))


def _padded(field: Field, args: Sequence[Any], options: Mapping[str, Any]) -> Field:
    found = _named(("input", "pad", "mode", "value"), args, options)
    widths, changed = list(found["pad"]), list(field)
    for number in range(len(widths) // 2):
        axis, left, right = changed[-1 - number], *widths[2 * number : 2 * number + 2]
        if axis is not None:
            changed[-1 - number] = axis.padded(int(left), int(right), found.get("mode", "constant"))
    return tuple(changed)


def _interpolated(field: Field, shape: Sequence[int], options: Mapping[str, Any]) -> Field | None:
    mode = options.get("mode", "nearest")
    whole = all(axis is None or shape[at] % len(axis.low) == 0 for at, axis in enumerate(field))
    if not whole or mode not in ("nearest", "bilinear", "linear") or options.get("align_corners"):
        return None
    return _each(field, shape, lambda axis, places: axis.interpolated(places, linear=mode != "nearest"))


def _reordered(name: str, field: Field, args: Sequence[Any], options: Mapping[str, Any]) -> Field:
    order = list(range(len(field)))
    if name == "permute":
        dims = options.get("dims", args[1:])
        dims = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
        order = [int(dimension) % len(field) for dimension in dims]
    else:
        one, other = options.get("dim0", args[1]), options.get("dim1", args[2])
        order[one], order[other] = order[other], order[one]
    return tuple(field[dimension] for dimension in order)


def _kept(name: str, field: Field, shape: Sequence[int], args: Sequence[Any]) -> Field | None:
    """The field of a part, or of a new arrangement, that leaves the last dimensions, those of space, as they are."""
    space = [axis for axis in field if axis is not None]
    behind = list(field[-len(space) :]) if space else []
    if not space or any(axis is None for axis in behind) or len(shape) < len(space) + 1:
        return None
    if name == "getitem":
        parts = args[1] if isinstance(args[1], tuple) else (args[1],)
        if not all(part is Ellipsis or isinstance(part, slice) for part in parts):
            return None
    if [len(axis.low) for axis in space] != list(shape[-len(space) :]):
        return None
    return (*[None] * (len(shape) - len(space)), *space)
