"""The places of a layer's output: maps, maps with the channels last, or the patch tokens of a transformer."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from typing_extensions import override

MAX_PREFIX = 8
"""Tokens at most that stand before the patches: a class token and registers."""


class Places(nn.Module):
    """Hands on a layer's output, in between as maps (samples, channels, *size).

    Maps may have their channels last, as in Swin transformers. Tokens (samples, tokens, features) become the grid of
    patches that they come from; class tokens and registers, which stand before them, are left as they are.

    Args:
        layer: The layer's name, for messages.
        size: Spatial dimensions of the inputs, e.g. (height, width).

    Raises:
        ValueError: In `forward`, if the output has no places.

    Example:
        >>> import torch
        >>> places = Places("encoder", (32, 64))
        >>> shapes = []
        >>> handle = places.maps.register_forward_hook(lambda module, args, maps: shapes.append(tuple(maps.shape)))
        >>> places(torch.rand(5, 1 + 2 * 4, 96)).shape, shapes
        (torch.Size([5, 9, 96]), [(5, 96, 2, 4)])
    """

    def __init__(self, layer: str, size: Sequence[int]) -> None:
        super().__init__()
        self.layer = layer
        self.size = tuple(size)
        self.maps = nn.Identity()
        """Receives and returns the maps."""

    @override
    def forward(self, output: Tensor) -> Tensor:
        """Returns the output, through `maps`."""
        if output.ndim == 2 + len(self.size) > 2:
            if _mismatch(output.shape[1:-1], self.size) < _mismatch(output.shape[2:], self.size):
                return self._through(output.movedim(-1, 1)).movedim(1, -1)
            return self._through(output)
        if output.ndim != 3 or len(self.size) < 2:
            raise ValueError(
                f"{self.layer} has no places to look at: expected maps (samples, channels, *size) or patch tokens "
                f"(samples, tokens, features), got shape {tuple(output.shape)} for inputs of size {self.size}"
            )
        before, grid = patch_grid(output.shape[1], self.size)
        maps = self._through(output[:, before:].transpose(1, 2).reshape(len(output), -1, *grid))
        whole = output.clone()
        whole[:, before:] = maps.flatten(2).transpose(1, 2)
        return whole

    def _through(self, maps: Tensor) -> Tensor:
        found: Tensor = self.maps(maps)
        return found


def patch_grid(tokens: int, size: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Returns how many of a layer's tokens stand before the patches, and the patches' grid.

    Patches are taken to be as long in every direction, so that the grid has the proportions of the input.

    Args:
        tokens: Number of tokens.
        size: Spatial dimensions of the inputs.

    Raises:
        ValueError: If the tokens are no such grid.

    Example:
        >>> patch_grid(197, (224, 224)), patch_grid(5 + 8 * 16, (128, 256))
        ((1, (14, 14)), (5, (8, 16)))
    """
    for before in range(min(MAX_PREFIX + 1, tokens)):
        scale = ((tokens - before) / math.prod(size)) ** (1 / len(size))
        grid = tuple(max(1, round(side * scale)) for side in size)
        patches = {side // cells for side, cells in zip(size, grid, strict=True)}
        if math.prod(grid) == tokens - before and len(patches) == 1 and min(patches) > 0:
            return before, grid
    raise ValueError(f"expected a grid of patches of an input of size {tuple(size)}, got {tokens} tokens")


def _mismatch(sides: Sequence[int], size: Sequence[int]) -> float:
    """How far the proportions of maps are from those of the inputs; 0 if they are the same."""
    shares = [math.log(max(side, 1) / whole) for side, whole in zip(sides, size, strict=True)]
    return max(shares) - min(shares)
