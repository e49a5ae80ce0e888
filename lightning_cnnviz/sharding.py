"""Parameters of which every process holds a part, as with `torch.distributed.fsdp.fully_shard`."""

from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn


def is_sharded(module: nn.Module) -> bool:
    """Whether some of a model's parameters are shared out to processes.

    Example:
        >>> is_sharded(nn.Linear(4, 3))
        False
    """
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


def gathered(tensor: Tensor) -> Tensor:
    """The whole tensor, put together from all processes (every one has to call this); others as they are.

    Example:
        >>> gathered(Tensor([1, 1]))
        tensor([1., 1.])
    """
    whole: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # of a DTensor
    return whole


def passed_over(what: str, module: nn.Module) -> bool:
    """Whether something that needs whole parameters has none, since they are shared out; then a line says so.

    Example:
        >>> passed_over("GradientFlow", nn.Linear(4, 3))
        False
    """
    if sharded := is_sharded(module):
        rank_zero_info(f"{what}: the model's parameters are shared out to processes, so there is nothing to show")
    return sharded
