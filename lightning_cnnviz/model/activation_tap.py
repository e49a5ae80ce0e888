"""Hearing what layers return while the user's code runs a model."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.model.activation_kinds import channel_dimension, channels_of, tells_channels
from lightning_cnnviz.model.hooks import takes_hooks
from lightning_cnnviz.model.layers import CONVOLUTIONS
from lightning_cnnviz.model.outputs import first_tensor, plain
from lightning_cnnviz.model.sharding import is_shard
from lightning_cnnviz.model.torch_internals import calls_compiled_code

MAX_FEATURES = 2**13
"""Features up to which the input of a linear layer is taken for an embedding; it is kept for every sample."""


class LayerRun(NamedTuple):
    """What a layer has returned.

    Attributes:
        layer: Its name.
        values: Its output, not a copy: valid during the call.
        channels: The dimension of the channels or features; None if that is not certain.
    """

    layer: str
    values: Tensor
    channels: int | None


class _Told(NamedTuple):
    """The last output whose channels are known by the kind of its layer."""

    output: weakref.ref[Tensor]
    shape: tuple[int, ...]
    channels: int


class ActivationTap:
    """Hands on what layers return between `begin` and `end`, each run of each layer.

    Args:
        module: The model.
        layers: Names of the layers, of those in `layers_within_reach`.
        heard: Called with every run.
        reach: What `layers_within_reach` has returned for the model, if that is known.

    Attributes:
        begun: Whether a batch has begun and not ended.
        listening: Whether runs are handed on; may be set between `begin` and `end`.

    Example:
        >>> net, shapes = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), []
        >>> tap = ActivationTap(net, ["1"], lambda run: shapes.append((run.layer, tuple(run.values.shape))))
        >>> tap.begin(samples=5)
        >>> _ = net(torch.ones(5, 4))
        >>> shapes, tap.end().shape
        ([('1', (5, 3))], torch.Size([5, 3]))
        >>> tap.close()
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        heard: Callable[[LayerRun], None],
        reach: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self._heard: Callable[[LayerRun], None] | None = heard
        self._samples = 0
        self._told: _Told | None = None
        self.begun = self.listening = False
        self._embedding: Tensor | None = None
        self._error: Exception | None = None
        self._handles: list[RemovableHandle] = []
        for name, part in (layers_within_reach(module) if reach is None else reach).items():
            if name in layers or tells_channels(part):
                hook = partial(self._returned, name if name in layers else "")
                self._handles.append(part.register_forward_hook(hook))

    def begin(self, samples: int) -> None:
        """Begins to hand on runs, of a batch of so many samples."""
        self.begun = self.listening = True
        self._samples, self._told, self._embedding = samples, None, None

    def end(self) -> Tensor | None:
        """Stops handing on runs.

        Returns:
            The batch's embedding: what the last linear layer to run has received, a copy of shape (samples, features).
            None if that was of another shape, if a convolution came after it, or if none has run.

        Raises:
            Exception: What looking at an output or `heard` has raised.
        """
        error, self._error = self._error, None
        embedding, self._embedding = self._embedding, None
        self.begun = self.listening = False
        self._told = None
        if error is not None:
            raise error
        return embedding

    def close(self) -> None:
        """Removes the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.listening = False

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved meanwhile gets an inactive tap.
        inactive: dict[str, Any] = {"_heard": None, "_samples": 0, "_told": None, "_error": None, "_handles": []}
        return {**inactive, "begun": False, "listening": False, "_embedding": None}

    def _returned(self, name: str, module: nn.Module, args: Any, result: Any) -> None:
        if not self.listening or self._heard is None:
            return
        try:
            values = first_tensor(result)
            if values is None or not _is_concrete(values):
                return
            given = first_tensor(args)
            channels = self._channels(module, values, given)
            if tells_channels(module):
                self._keep_embedding(module, given)
            if name:
                self._heard(LayerRun(name, plain(values.detach()), channels))
        except Exception as error:  # raised in `end`, not in the user's forward pass
            self._error = error

    def _channels(self, module: nn.Module, values: Tensor, given: Tensor | None) -> int | None:
        told = self._told
        channels = channel_dimension(module, values.shape)
        if channels is not None:
            self._told = _Told(weakref.ref(values), tuple(values.shape), channels)
            return channels
        if told is None or tells_channels(module):
            return channels_of(values.shape, (), 1, same=False)
        return channels_of(values.shape, told.shape, told.channels, same=told.output() is given)

    def _keep_embedding(self, module: nn.Module, given: Tensor | None) -> None:
        if isinstance(module, (nn.Linear, *CONVOLUTIONS)):
            fits = isinstance(module, nn.Linear) and given is not None and given.ndim == 2 and _is_concrete(given)
            fits = fits and given is not None and len(given) == self._samples and given.shape[1] <= MAX_FEATURES
            self._embedding = plain(given.detach()).clone() if fits and given is not None else None


def layers_within_reach(module: nn.Module) -> dict[str, nn.Module]:
    """Returns the layers that a hook hears and leaves as they are, by name.

    Those are not the ones in compiled code and in TorchScript, and not those of `nn.TransformerEncoderLayer`: hooks
    on them switch off its fused kernels, which changes the last digits of what it computes.

    Example:
        >>> list(layers_within_reach(nn.Sequential(nn.Linear(4, 3), nn.TransformerEncoderLayer(4, 2))))
        ['0']
    """
    found: dict[str, nn.Module] = {}
    closed: list[str] = []
    for name, part in module.named_modules():
        if any(name.startswith(outer) for outer in closed):
            continue
        if calls_compiled_code(part) or not takes_hooks(part) or isinstance(part, nn.TransformerEncoderLayer):
            closed.append(f"{name}." if name else "")
        elif name:
            found[name] = part
    return found


def _is_concrete(values: Tensor) -> bool:
    """Whether a tensor holds numbers that can be read: one of a transform of `torch.func` ends with it."""
    if not values.is_floating_point() or values.layout is not torch.strided or is_shard(values):
        return False
    try:
        return values.numel() > 0 and values.data_ptr() != 0
    except RuntimeError:
        return False
