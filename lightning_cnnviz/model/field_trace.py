"""Receptive fields followed through a forward pass, function by function."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from inspect import isroutine
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lightning_cnnviz.model.field_axis import Axis, union
from lightning_cnnviz.model.outputs import tensors_in
from lightning_cnnviz.model.torch_internals import memory_address, write_count

Field: TypeAlias = tuple[Axis | None, ...]
"""For each dimension of a tensor its axis, None where it is none of space; all axes of the image, in its order."""
CONVOLVE = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
CONVOLVE_BACK = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
AVERAGE_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode")
INTERPOLATE = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
OF_ONE = {
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh", "hardtanh"),
    *("hardswish", "hardsigmoid", "softplus", "softsign", "prelu", "rrelu", "threshold", "logsigmoid", "hardshrink"),
    *("abs", "neg", "exp", "log", "sqrt", "square", "softshrink"),
    *("sign", "round", "floor", "ceil", "trunc", "logical_not", "invert", "bool", "int", "long"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
    *("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm", "local_response_norm"),
    *("contiguous", "clone", "detach", "alias", "to", "type", "float", "half", "bfloat16", "double"),
}
"""Functions that compute each place from the same place of their first argument, the others being constant.

Without the underscores of methods and of in-place forms. Normalisations count as such, though their statistics may
be those of the whole map; see `FieldTrace`."""
FACTOR = {
    *("mul", "imul", "rmul", "multiply", "div", "idiv", "rdiv", "divide", "truediv", "itruediv", "rtruediv"),
}
OF_SEVERAL = FACTOR | {
    *("add", "iadd", "radd", "sub", "isub", "rsub", "subtract", "maximum", "minimum", "addcmul", "lerp", "pow"),
    *("clamp", "clamp_min", "clamp_max", "clip", "cat", "concat", "concatenate"),
    *("where", "masked_fill", "gt", "ge", "lt", "le", "eq", "ne", "greater", "less", "logical_and", "logical_or"),
    *("and", "or", "xor"),
}
"""Functions that compute each place from the same place of all arguments."""
CREATE = {"arange", "empty", "eye", "full", "linspace", "ones", "rand", "randn", "zeros"}
"""Functions that make a tensor out of none, which depends on no pixel; what they are given may not tell of any."""


class FieldTrace(TorchFunctionMode):
    """Context of a forward pass in which the receptive field of what each function returns is noted.

    A field is known only behind functions in the forms of calls that are listed here; all others, and writing into a
    part of a tensor, leave it unknown. A factor that is the same at every place, such as that of squeeze-and-
    excitation, and the statistics of a normalisation do not widen a field: they do not tell where something is.

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
        self._fields: dict[int, Field | None] = {}
        self._constant: set[int] = set()
        # All tensors by their memory, alive, so that no other tensor gets the identity of one.
        self._seen: defaultdict[int | None, list[Tensor]] = defaultdict(list)
        for tensor in (*model.parameters(), *model.buffers()):
            self._constant.add(id(tensor))
            self._seen[memory_address(tensor)].append(tensor)
        self._note(inputs, (None, None, *map(Axis.of_image, inputs.shape[2:])))

    def field(self, tensor: Tensor) -> Field | None:
        """Returns a tensor's receptive field; None if it is unknown."""
        return self._fields.get(id(tensor))

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        given = [(tensor, tuple(tensor.shape)) for tensor in tensors_in((args, options))]
        versions = [write_count(tensor) for tensor, _ in given]
        # Only what PyTorch itself calls by these names does what they say, not an operator of a library.
        name = getattr(function, "__name__", "").strip("_") if isroutine(function) else ""
        result = function(*args, **options)
        constant = all(id(tensor) in self._constant for tensor, _ in given) and (bool(given) or name in CREATE)
        made = [tensor for tensor in tensors_in(result) if not isinstance(tensor, nn.Parameter)]
        fields: list[Field | None] = []
        for tensor in made:
            try:
                fields.append(None if constant else self._rule(name, given, args, options, tensor))
            except (IndexError, KeyError, TypeError, ValueError):  # arguments that no rule knows
                fields.append(None)
        for (tensor, _), before in zip(given, versions, strict=True):
            if write_count(tensor) != before:
                self._forget(tensor)
        for tensor, field in zip(made, fields, strict=True):
            self._note(tensor, field)
            if constant:
                self._constant.add(id(tensor))
            else:
                self._constant.discard(id(tensor))
        return result

    def _note(self, tensor: Tensor, field: Field | None) -> None:
        self._seen[memory_address(tensor)].append(tensor)
        self._fields[id(tensor)] = field

    def _forget(self, written: Tensor) -> None:
        """What was written to, and all that shares its memory, may hold something else now."""
        for tensor in self._seen[memory_address(written)]:
            self._fields[id(tensor)] = None
            self._constant.discard(id(tensor))

    def _rule(
        self,
        name: str,
        given: Sequence[tuple[Tensor, tuple[int, ...]]],
        args: Sequence[Any],
        options: Mapping[str, Any],
        made: Tensor,
    ) -> Field | None:
        """The field of what a function made; None if it is unknown, as of every form of a call not known here."""
        shape = tuple(made.shape)
        if name in OF_SEVERAL:
            return self._merged(name, given, shape)
        field = self.field(args[0]) if args and isinstance(args[0], Tensor) else None
        if field is None or any(id(tensor) not in self._constant for tensor, _ in given[1:]):
            return None
        if name in OF_ONE:
            return field
        if name == "linear":  # over the last dimension
            return field if field[-1] is None else None
        if name in ("mean", "sum", "amax"):
            return _reduced(field, shape)
        if name == "pad":
            return _padded(field, args, options)
        if name in ("permute", "transpose", "swapaxes"):
            return _reordered(name, field, args, options)
        if name in ("view", "reshape", "chunk", "split", "getitem", "unflatten"):
            return _kept(name, field, shape, args)
        if field[:2] != (None, None) or any(axis is None for axis in field[2:]):
            return None
        window = _windows(name, args, options)
        if window is not None:
            return _slid(field, shape, *window)
        if name.startswith("adaptive_") and f"pool{len(field) - 2}d" in name:
            return _each(field, shape, lambda axis, places: axis.pooled_to(places))
        if name in ("interpolate", "upsample"):
            return _interpolated(field, shape, args, options)
        return None

    def _merged(
        self, name: str, given: Sequence[tuple[Tensor, tuple[int, ...]]], shape: tuple[int, ...]
    ) -> Field | None:
        """The field of what is computed place by place from several tensors, aligned as broadcasting does."""
        fields: list[Field] = []
        factors: list[tuple[int, ...]] = []
        for tensor, size in given:
            if id(tensor) in self._constant:
                continue
            missing, field = len(shape) - len(size), self.field(tensor)
            aligned = (*[1] * missing, *size)
            space = [] if field is None else [d + missing for d, axis in enumerate(field) if axis is not None]
            same_everywhere = all(aligned[d] == 1 for d in space) and any(shape[d] > 1 for d in space)
            if field is None or same_everywhere:
                factors.append(aligned)
            else:
                fields.append((*[None] * missing, *field))
        if not fields:
            return None
        space = [d for d, axis in enumerate(fields[0]) if axis is not None]
        for field in fields:
            if [None if axis is None else len(axis.low) for axis in field] != [
                places if d in space else None for d, places in enumerate(shape)
            ]:
                return None
        if factors and (name not in FACTOR or any(size[d] != 1 for size in factors for d in space)):
            return None
        return tuple(union([_axis(field, d) for field in fields]) if d in space else None for d in range(len(shape)))


def _axis(field: Field, dimension: int) -> Axis:
    axis = field[dimension]
    assert axis is not None
    return axis


def _reduced(field: Field, shape: Sequence[int]) -> Field | None:
    """The field of a mean, sum or maximum that keeps the dimensions over which it is taken."""
    if len(shape) != len(field):
        return None
    if any(axis is not None and shape[d] not in (1, len(axis.low)) for d, axis in enumerate(field)):
        return None
    return _each(field, shape, lambda axis, places: axis if places == len(axis.low) else axis.pooled_to(1))


def _named(names: Sequence[str], args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names, args, strict=False)), **options}


def _windows(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """The window of a convolution or pooling, and whether it is a transposed one; None if it is neither."""
    dimensions = f"{args[0].ndim - 2}d"
    if name in (f"conv{dimensions}", f"conv_transpose{dimensions}"):
        back = name.startswith("conv_t")
        found = _named(CONVOLVE_BACK if back else CONVOLVE, args, options)
        return {"kernel": tuple(found["weight"].shape[2:]), **found}, back
    if name in (f"max_pool{dimensions}", f"max_pool{dimensions}_with_indices"):
        found = _named(MAX_POOL, args, options)
    elif name == f"avg_pool{dimensions}":
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
    for number in range(len(axes)):
        axis = _axis(field, number + 2)
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


def _interpolated(field: Field, shape: Sequence[int], args: Sequence[Any], options: Mapping[str, Any]) -> Field | None:
    found = _named(INTERPOLATE, args, options)
    mode, scale = found.get("mode", "nearest"), found.get("scale_factor")
    factors = [] if scale is None else scale if isinstance(scale, Sequence) else [scale]
    whole = all(axis is None or shape[at] % len(axis.low) == 0 for at, axis in enumerate(field))
    whole = whole and all(float(factor).is_integer() for factor in factors)  # of 2.1 it is 2.1 that moves the places
    odd = mode not in ("nearest", "bilinear", "linear") or found.get("align_corners") or found.get("antialias")
    if not whole or odd:
        return None
    return _each(field, shape, lambda axis, places: axis.interpolated(places, linear=mode != "nearest"))


def _reordered(name: str, field: Field, args: Sequence[Any], options: Mapping[str, Any]) -> Field | None:
    """The field of dimensions in another order; unknown if rows and columns change places."""
    order = list(range(len(field)))
    if name == "permute":
        dims = options.get("dims", args[1:])
        dims = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
        order = [int(dimension) % len(field) for dimension in dims]
    else:
        one, other = options.get("dim0", args[1]), options.get("dim1", args[2])
        order[one], order[other] = order[other], order[one]
    space = [dimension for dimension in order if field[dimension] is not None]
    return tuple(field[dimension] for dimension in order) if space == sorted(space) else None


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
