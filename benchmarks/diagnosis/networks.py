"""Small networks of four designs, each of which learns in 300 steps on one thread."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Activation = Callable[[], nn.Module]


def lenet(
    size: int,
    activation: Activation = nn.ReLU,
    pool: Callable[[int], nn.Module] = nn.MaxPool2d,
    normalized: bool = False,
    dropout: float = 0.0,
    widths: tuple[int, int, int, int] = (6, 16, 120, 84),
) -> nn.Sequential:
    """LeNet-5 with padded convolutions: images (N, 1, size, size) to logits (N, 10).

    Args:
        size: Side length of the images in pixels, a multiple of 4.
        activation: Makes an activation function.
        pool: Makes a pooling of squares.
        normalized: Whether the convolutions are followed by batch normalisation.
        dropout: Probability, before each of the last two layers.
        widths: Channels of the convolutions, features of the fully connected layers.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 1
    for number, width in enumerate(widths[:2], start=1):
        layers[f"conv{number}"] = nn.Conv2d(channels, width, kernel_size=5, padding=2)
        if normalized:
            layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"activation{number}"] = activation()
        layers[f"pool{number}"] = pool(2)
        channels = width
    layers["flatten"] = nn.Flatten()
    features = channels * (size // 4) ** 2
    for number, width in enumerate(widths[2:], start=1):
        layers[f"fc{number}"] = nn.Linear(features, width)
        layers[f"activation{number + 2}"] = activation()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
        features = width
    layers["head"] = nn.Linear(features, 10)
    return nn.Sequential(layers)


def vgg(
    size: int,
    activation: Activation = nn.ReLU,
    pool: Callable[[int], nn.Module] = nn.MaxPool2d,
    dropout: float = 0.0,
    normalized: bool = False,
    initialized: bool = True,
) -> nn.Sequential:
    """Eight 3×3 convolutions without normalisation: images (N, 1, size, size) to logits (N, 10).

    Args:
        size: Side length of the images in pixels, a multiple of 8.
        activation: Makes an activation function.
        pool: Makes a pooling of squares.
        dropout: Probability, before the last layer.
        normalized: Whether the convolutions are followed by batch normalisation.
        initialized: Whether weights begin as He et al. recommend for ReLU, instead of PyTorch's default.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    widths = (8, 8, 16, 16, 32, 32, 32, 32)
    pooled = (1, 2, 4) if size > 16 else (4,)
    for number, (channels, width) in enumerate(pairwise((1, *widths)), start=1):
        layers[f"conv{number}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1)
        if normalized:
            layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"activation{number}"] = activation()
        if number in pooled:
            layers[f"pool{number}"] = pool(2)
    layers["flatten"] = nn.Flatten()
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(widths[-1] * (size >> len(pooled)) ** 2, 10)
    network = nn.Sequential(layers)
    if initialized:
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return network


class Block(nn.Module):
    """Two 3×3 convolutions with batch normalisation, beside a shortcut."""

    def __init__(self, channels: int, width: int, activation: Activation, momentum: float | None) -> None:
        super().__init__()
        stride = 1 if channels == width else 2
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width, momentum=momentum)
        self.activation1 = activation()
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width, momentum=momentum)
        self.activation2 = activation()
        self.shortcut = (
            nn.Identity() if stride == 1 else nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, channels, H, W) to (N, width, H, W), or to half of H and W."""
        inner = self.norm2(self.conv2(self.activation1(self.norm1(self.conv1(x)))))
        return self.activation2(inner + self.shortcut(x))


def resnet(
    size: int, activation: Activation = nn.ReLU, dropout: float = 0.0, momentum: float | None = 0.1
) -> nn.Sequential:
    """ResNet of eight layers: images (N, 1, size, size) to logits (N, 10).

    Args:
        size: Side length of the images in pixels.
        activation: Makes an activation function.
        dropout: Probability, before the last layer.
        momentum: Of the running statistics.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(1, 16, kernel_size=3, stride=2 if size > 16 else 1, padding=1, bias=False)
    layers["norm"] = nn.BatchNorm2d(16, momentum=momentum)
    layers["activation"] = activation()
    for number, (channels, width) in enumerate(((16, 16), (16, 24), (24, 32)), start=1):
        layers[f"block{number}"] = Block(channels, width, activation, momentum)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(32, 10)
    return nn.Sequential(layers)


class Attention(nn.Module):
    """Self-attention of four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (N, T, width) to tokens of the same shape."""
        parts = self.queries_keys_values(x).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        return self.out(scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    """Attention and two fully connected layers, each after layer normalisation and beside a shortcut."""

    def __init__(self, width: int, activation: Activation, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention, self.dropout1 = nn.LayerNorm(width), Attention(width), nn.Dropout(dropout)
        self.norm2 = nn.LayerNorm(width)
        self.fc1, self.activation, self.fc2 = nn.Linear(width, 2 * width), activation(), nn.Linear(2 * width, width)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (N, T, width) to tokens of the same shape."""
        x = x + self.dropout1(self.attention(self.norm1(x)))
        return x + self.dropout2(self.fc2(self.activation(self.fc1(self.norm2(x)))))


class ViT(nn.Module):
    """Vision transformer of 16 patches: images (N, 1, size, size) to logits (N, 10).

    Args:
        size: Side length of the images in pixels, a multiple of 4.
        activation: Makes an activation function.
        dropout: Probability, after each part of each of the two encoders.
    """

    def __init__(self, size: int, activation: Activation = nn.GELU, dropout: float = 0.1) -> None:
        super().__init__()
        width, patch = 48, size // 4
        self.patches = nn.Conv2d(1, width, kernel_size=patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn(16, width))
        self.encoder1, self.encoder2 = (Encoder(width, activation, dropout) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, size, size) to logits (N, 10)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.encoder2(self.encoder1(x))).mean(1))


NETWORKS: dict[str, Callable[..., nn.Module]] = {"lenet": lenet, "vgg": vgg, "resnet": resnet, "vit": ViT}
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "lenet": (torch.optim.SGD, {"lr": 0.03, "momentum": 0.9}),
    "vgg": (torch.optim.Adam, {"lr": 1e-3}),
    "resnet": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
    "vit": (torch.optim.AdamW, {"lr": 3e-3}),
}
"""With which a network is trained where nothing else is asked for."""
