"""Parameters sharded across ranks, as by `torch.distributed.fsdp.fully_shard`."""

from torch import Tensor, nn


def is_sharded(module: nn.Module) -> bool:
    """Whether some of a model's parameters are sharded across ranks.

    Example:
        >>> is_sharded(nn.Linear(4, 3))
        False
    """
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


def full_tensor(tensor: Tensor) -> Tensor:
    """Gathers a sharded tensor from all ranks (every rank must call this); returns any other tensor as it is.

    Example:
        >>> full_tensor(Tensor([1, 1]))
        tensor([1., 1.])
    """
    whole: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # a DTensor
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
