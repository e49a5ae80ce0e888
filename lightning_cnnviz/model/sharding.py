"""Parameters sharded across ranks, as by `torch.distributed.fsdp.fully_shard`."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn


def is_sharded(module: nn.Module) -> bool:
    """Whether some of a model's parameters are sharded across ranks.

    Example:
        >>> is_sharded(nn.Linear(4, 3))
        False
    """
    return any(map(is_shard, module.parameters()))


def full_tensor(tensor: Tensor) -> Tensor:
    """Gathers a sharded tensor from all ranks (every rank must call this); returns any other tensor as it is.

    Example:
        >>> full_tensor(Tensor([1, 1]))
        tensor([1., 1.])
    """
    whole: Tensor = tensor.full_tensor() if is_shard(tensor) else tensor  # type: ignore[attr-defined]
    return whole


def is_shard(tensor: Tensor) -> bool:
    """Whether a tensor is distributed over ranks (a DTensor).

    Example:
        >>> is_shard(Tensor([1, 1]))
        False
    """
    return hasattr(tensor, "full_tensor")


def local_part(tensor: Tensor) -> Tensor:
    """Returns this rank's part of a sharded tensor, detached; any other tensor as it is.

    Example:
        >>> local_part(Tensor([1, 1]))
        tensor([1., 1.])
    """
    part: Tensor = tensor.detach().to_local() if is_shard(tensor) else tensor  # type: ignore[attr-defined]
    return part


def over_shards(values: Tensor, tensors: Sequence[Tensor], operation: Literal["sum", "max"]) -> Tensor:
    """Adds up what each rank has computed of its own parts of sharded tensors (every rank must call this).

    Args:
        values: Shape (tensors, ...).
        tensors: What each row of `values` is about; the values of those that are not sharded stay as they are.
        operation: `"sum"`, or `"max"` for the maximum instead.

    Example:
        >>> over_shards(Tensor([3, 4]), [Tensor([1]), Tensor([1])], "sum")
        tensor([3., 4.])
    """
    layouts: dict[Any, list[int]] = {}
    for place, tensor in enumerate(tensors):
        if is_shard(tensor):
            layouts.setdefault((tensor.device_mesh, tensor.placements), []).append(place)  # type: ignore[attr-defined]
    whole = values.clone()
    for (mesh, placements), places in layouts.items():
        from torch.distributed.tensor import DTensor, Partial, Replicate

        parts = [Partial(operation) if placement.is_shard() else Replicate() for placement in placements]
        whole[places] = DTensor.from_local(values[places], mesh, parts, run_check=False).full_tensor()
    return whole


def skip_if_sharded(what: str, module: nn.Module) -> bool:
    """Whether `what`, which needs unsharded parameters, has to be skipped; if so, reports it.

    Example:
        >>> skip_if_sharded("GradientFlow", nn.Linear(4, 3))
        False
    """
    from pytorch_lightning.utilities import rank_zero_info  # here, since pictures alone need no Lightning

    if sharded := is_sharded(module):
        rank_zero_info(f"{what}: parameters are sharded across ranks; nothing is drawn")
    return sharded
