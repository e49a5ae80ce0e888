"""The layers of a model in order of execution, with output shapes, parameters and multiply-adds."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from lightning_cnnviz.functional.escaping import markdown
from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo
from lightning_cnnviz.functional.model_summary.roles import module_role
from lightning_cnnviz.model.execution_trace import ExecutionTrace, owner_of, trace_execution
from lightning_cnnviz.model.layers import select_layers


class ParameterCount(NamedTuple):
    """Parameter counts of a model, counting shared parameters once.

    Attributes:
        parameters: Total number.
        trainable: Number of those that require a gradient.
        size: Total size in bytes.
    """

    parameters: int
    trainable: int
    size: int


def architecture(model: nn.Module, inputs: torch.Tensor, layers: str | Sequence[str] | None = None) -> list[LayerInfo]:
    """Runs a model once, in evaluation mode, and describes its layers in order of execution.

    Listed are the modules that ran and either contain no other module that ran, or have parameters or perform
    multiplications themselves. Modules that did not run (metrics, losses, unused heads) and functions such as `F.relu`
    are not listed.

    Multiply-adds are half the FLOPs counted by `torch.utils.flop_counter`, which covers convolutions, matrix products,
    attention and recurrent layers. Biases, normalisation, activations and pooling are not counted.

    Args:
        model: The model; left unchanged.
        inputs: A few samples, shape (samples, ...), on the model's device.
        layers: Exact names or globs; a module with an exact name is listed as a whole, without its submodules.
            Default: all.

    Raises:
        ValueError: If `layers` matches nothing, or only modules that did not run.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 24 * 24, 10))
        >>> first, *_, last = architecture(net, torch.rand(1, 1, 28, 28))
        >>> first.output_shape, first.parameters, first.multiply_adds
        ((6, 24, 24), 156, 86400)
        >>> last
        LayerInfo(name='3', kind='Linear', role='linear', output_shape=(10,), parameters=34570, \
trainable=34570, multiply_adds=34560, runs=1)
    """
    return layer_infos(model, trace_execution(model, inputs), layers)


def layer_infos(model: nn.Module, trace: ExecutionTrace, layers: str | Sequence[str] | None = None) -> list[LayerInfo]:
    """Describes the layers that ran in a traced pass, as `architecture` does."""
    modules = dict(model.named_modules())
    rows = [name for name in trace.runs if _is_layer(name, modules[name], trace)]
    if layers is not None:
        chosen = set(select_layers(model, layers, [name for name in modules if name], "layer")) & set(trace.runs)
        rows = [name for name in trace.runs if name in chosen and (name in rows or not _holds(name, chosen))]
        if not rows:
            raise ValueError(f"layers={layers!r}: none of these modules ran")
    multiply_adds = Counter[str]()
    for running, flops in trace.flops.items():
        if (row := next((name for name in reversed(running) if name in rows), None)) is not None:
            multiply_adds[row] += flops
    parameters = _parameters_by_row(model, trace, rows)
    return [
        LayerInfo(
            name=name,
            kind=type(modules[name]).__name__,
            role=module_role(modules[name]),
            output_shape=trace.shapes[name],
            parameters=sum(parameter.numel() for parameter in parameters[name]),
            trainable=sum(parameter.numel() for parameter in parameters[name] if parameter.requires_grad),
            multiply_adds=multiply_adds[name] // (2 * trace.samples),
            runs=trace.runs[name],
        )
        for name in rows
    ]


def count_parameters(model: nn.Module) -> ParameterCount:
    """Counts the parameters of a model, whether they are used or not; shared ones once.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> count_parameters(nn.ModuleList([layer, nn.Sequential(layer)]))
        ParameterCount(parameters=15, trainable=15, size=60)
    """
    parameters = [parameter for parameter in model.parameters() if not is_lazy(parameter)]
    return ParameterCount(
        sum(parameter.numel() for parameter in parameters),
        sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        sum(parameter.numel() * parameter.element_size() for parameter in parameters),
    )


def architecture_table(infos: Sequence[LayerInfo], count: ParameterCount) -> str:
    """Formats the layers as a Markdown table with totals below it.

    Args:
        infos: From `architecture`.
        count: From `count_parameters`; a line is added if some parameters belong to none of the rows.

    Example:
        >>> net = nn.Sequential(nn.Linear(40, 30))
        >>> print(architecture_table(architecture(net, torch.rand(1, 40)), count_parameters(net)))
        | layer | kind | output shape | parameters | multiply-adds |
        |:--|:--|--:|--:|--:|
        | `0` | Linear | 30 | 1,230 | 1,200 |
        <BLANKLINE>
        **1,230 parameters**: 1,230 trainable, 0 not trainable; 0.00 MB
        <BLANKLINE>
        **1,200 multiply-adds per sample** in the layers above, biases not counted
    """
    lines = ["| layer | kind | output shape | parameters | multiply-adds |", "|:--|:--|--:|--:|--:|"]
    for info in infos:
        name = _code(info.name) if info.name else "(the model itself)"
        kind = markdown(info.kind) if info.runs == 1 else f"{markdown(info.kind)}, {info.runs} runs"
        shape = "–" if info.output_shape is None else " × ".join(map(str, info.output_shape)) or "1"
        lines.append(f"| {name} | {kind} | {shape} | {info.parameters:,} | {info.multiply_adds:,} |")
    frozen = count.parameters - count.trainable
    multiply_adds = sum(info.multiply_adds for info in infos)
    sums = [
        f"**{count.parameters:,} parameters**: {count.trainable:,} trainable, {frozen:,} not trainable; "
        f"{count.size / 1e6:,.2f} MB",
        f"**{multiply_adds:,} multiply-adds per sample** in the layers above, biases not counted",
    ]
    elsewhere = count.parameters - sum(info.parameters for info in infos)
    if elsewhere:
        sums.append(
            f"{elsewhere:,} of the parameters are in no layer above: in modules that did not run or not chosen"
        )
    return "\n\n".join(["\n".join(lines), *sums])


def _code(name: str) -> str:
    return f"`{name}`" if re.fullmatch(r"[\w.-]+", name) else markdown(name)


def _is_layer(name: str, module: nn.Module, trace: ExecutionTrace) -> bool:
    own = any(True for _ in module.parameters(recurse=False))
    multiplies = any(flops for running, flops in trace.flops.items() if running and running[-1] == name)
    return own or multiplies or not _holds(name, trace.runs)


def _parameters_by_row(model: nn.Module, trace: ExecutionTrace, rows: Sequence[str]) -> dict[str, list[nn.Parameter]]:
    """Assigns parameters to rows.

    Parameters of a module that did not run belong to the innermost enclosing module that did, unless any other
    submodule of that one ran.
    """
    held: dict[str, list[nn.Parameter]] = {name: [] for name in rows}
    for path, module in model.named_modules():
        owner = owner_of(path)
        home = next((name for name in _upwards(owner) if name in trace.runs), None)
        if home is None or (home != owner and _holds(home, trace.runs)):
            continue
        row = next((name for name in _upwards(home) if name in held), None)
        if row is not None:
            held[row] += [parameter for parameter in module.parameters(recurse=False) if not is_lazy(parameter)]
    counted: set[nn.Parameter] = set()
    for name, parameters in held.items():
        held[name] = [parameter for parameter in dict.fromkeys(parameters) if parameter not in counted]
        counted.update(parameters)
    return held


def _upwards(name: str) -> Iterator[str]:
    """Yields the name of a module, then those of its enclosing modules up to the model itself."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def _holds(name: str, others: Iterable[str]) -> bool:
    """Whether a module contains one of the others."""
    return any(other != name and (not name or other.startswith(f"{name}.")) for other in others)
