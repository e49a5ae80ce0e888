"""Hearing what layers receive: the first layer with weights, and batch normalisations in training."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.model.outputs import first_tensor, plain

VARIANCE = 1e-4
"""Added to variances before they are compared, since those of a dead channel only go to zero."""
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class NormalizationLook(NamedTuple):
    """A batch normalisation in one pass.

    Attributes:
        samples: Samples in the batch.
        values: Values of a channel in the batch.
        distance: Median over channels of |running mean − batch mean| / batch deviation.
        ratio: Median over channels of |log(running variance / batch variance)|.
        batches: Batches that the running statistics have seen.
        remembered: Weight of what the running statistics were at first in what they are now, 0…1.
    """

    samples: int
    values: int
    distance: float
    ratio: float
    batches: int
    remembered: float = 0.0


class InputTap:
    """Hears, in one pass, what the first layer with weights receives and what batch normalisations do.

    Args:
        layers: Layers with weights, by name.
        normalizations: Batch normalisations, by name.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> tap = InputTap({"0": net[0]}, {"1": net[1]})
        >>> _ = net(torch.ones(5, 4))
        >>> tap.close()
        >>> tap.received(), tap.normalizations()["1"].samples
        ([1.0, 1.0, 1.0, 0.0], 5)
    """

    def __init__(self, layers: dict[str, nn.Module], normalizations: dict[str, nn.Module]) -> None:
        self._received: Tensor | None = None
        self._heard = False
        self._batches: dict[str, tuple[tuple[int, ...], float | None, Tensor]] = {}
        self._error: Exception | None = None
        self._active = True
        self._handles: list[RemovableHandle] = []
        self._add(layers.values(), self._first)
        for name, part in normalizations.items():
            self._add([part], partial(self._normalized, name))

    def close(self) -> None:
        """Removes the hooks.

        Raises:
            Exception: What looking at an input has raised.
        """
        for handle in self._handles:
            handle.remove()
        self._handles, self._active = [], False
        error, self._error = self._error, None
        if error is not None:
            raise error

    def received(self) -> list[float]:
        """Smallest, largest, mean and deviation of what the first layer received; empty if that is not known."""
        return [] if self._received is None else [float(value) for value in self._received.tolist()]

    def normalizations(self) -> dict[str, NormalizationLook]:
        """What each batch normalisation did, those that used the batch's statistics."""
        found = {}
        for name, (shape, momentum, facts) in self._batches.items():
            distance, ratio, batches = facts.tolist()
            values = torch.Size(shape).numel() // max(shape[1], 1)
            # With a momentum of None the statistics are means over all batches.
            remembered = (1 - momentum) ** batches if momentum is not None else float(batches == 0)
            found[name] = NormalizationLook(shape[0], values, distance, ratio, int(batches), remembered)
        return found

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved meanwhile gets an inactive tap.
        empty: dict[str, Any] = {"_received": None, "_batches": {}, "_error": None, "_handles": []}
        return {**empty, "_heard": True, "_active": False}

    def _add(self, parts: Iterable[nn.Module], hook: Any) -> None:
        self._handles += [part.register_forward_pre_hook(partial(self._hear, hook)) for part in parts]

    def _hear(self, hook: Callable[[nn.Module, Any], None], module: nn.Module, args: Any) -> None:
        if not self._active:
            return
        try:
            with torch.no_grad():
                hook(module, args)
        except Exception as error:  # raised in `close`, not in the user's forward pass
            self._error = error

    def _first(self, module: nn.Module, args: Any) -> None:
        given = first_tensor(args)
        if self._heard or given is None:
            return
        self._heard = True
        if given.is_floating_point() and given.numel() > 1:
            values = plain(given.detach()).float()
            low, high = values.aminmax()
            self._received = torch.stack([low, high, values.mean(), values.std(unbiased=False)])

    def _normalized(self, name: str, module: nn.Module, args: Any) -> None:
        given = first_tensor(args)
        assert isinstance(module, BatchNorm)
        mean, variance = module.running_mean, module.running_var
        if not module.training or given is None or given.ndim < 2 or mean is None or variance is None:
            return
        values = plain(given.detach()).float()
        others = [dimension for dimension in range(values.ndim) if dimension != 1]
        var, center = torch.var_mean(values, others, unbiased=False)
        var = var + VARIANCE
        distance = ((mean - center).abs() / var.sqrt()).median()
        ratio = ((variance + VARIANCE) / var).log().abs().median()
        batches = module.num_batches_tracked if module.num_batches_tracked is not None else torch.zeros(())
        facts = torch.stack([distance, ratio, batches.to(distance)])
        self._batches[name] = tuple(given.shape), module.momentum, facts


def left_in_evaluation(module: nn.Module, trained: Iterable[Tensor]) -> dict[str, str]:
    """Returns layers in evaluation mode that are trained: name → kind.

    Those are dropout layers beside parameters that are trained, and batch normalisations that have seen no batch yet,
    whose running statistics are those of no data.

    Args:
        module: The network.
        trained: The parameters that optimizers hold: a backbone that none holds may well be in evaluation mode.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5).eval())
        >>> left_in_evaluation(net, net.parameters())
        {'1': 'Dropout'}
    """
    held, parts = _trained(trained), dict(module.named_modules())
    found = {}
    for name, part in parts.items():
        if part.training:
            continue
        if isinstance(part, BatchNorm):
            batches = part.num_batches_tracked
            fresh = batches is not None and int(batches) == 0 and part.track_running_stats
            counts = fresh and _beside_trained(parts, name, held)
        else:
            counts = isinstance(part, DROPOUTS) and part.p > 0 and _beside_trained(parts, name, held)
        if counts:
            found[name] = type(part).__name__
    return found


def normalizing_as_in_evaluation(module: nn.Module, trained: Iterable[Tensor]) -> list[str]:
    """Returns batch normalisations in evaluation mode whose scale is trained.

    Args:
        module: The network.
        trained: The parameters that optimizers hold.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3).eval())
        >>> normalizing_as_in_evaluation(net, net.parameters())
        ['1']
    """
    held = _trained(trained)
    return [
        name
        for name, part in module.named_modules()
        if isinstance(part, BatchNorm) and not part.training and any(id(one) in held for one in part.parameters())
    ]


def _trained(parameters: Iterable[Tensor]) -> set[int]:
    return {id(parameter) for parameter in parameters if parameter.requires_grad}


def _beside_trained(parts: dict[str, nn.Module], name: str, held: set[int]) -> bool:
    """Whether a part's own parameters are trained, or, where it has none, those of the smallest part around it."""
    while True:
        parameters = list(parts[name].parameters())
        if parameters or not name:
            return any(id(parameter) in held for parameter in parameters)
        name = name.rpartition(".")[0]
