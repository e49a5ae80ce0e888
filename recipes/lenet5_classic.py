import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy
from torch.nn.utils import parametrize

from recipes.classifier import Classifier

SEEN_BY_C3 = (
    *(tuple((first + step) % 6 for step in range(3)) for first in range(6)),
    *(tuple((first + step) % 6 for step in range(4)) for first in range(6)),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""Input maps from S2 of each of C3's 16 maps (table I of the paper)."""

RUBBISH = 1.0
"""Squared distance assigned to the rubbish class (anything that is not a digit) in the loss, the paper's j."""

DIGITS = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...##..  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .####..
.##.##.  ..###..  ##...##  ##...##  ...###.  ##.....  .##....  .....##  ##...##  ##..##.
##...##  .####..  .....##  .....##  ..####.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...##..  .....##  .....##  .##.##.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  ....##.  ..####.  ##..##.  ######.  ##.###.  ....##.  .#####.  ##..###
##...##  ...##..  ...##..  .....##  ##..##.  .....##  ###..##  ...##..  ##...##  .###.##
##...##  ...##..  ..##...  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
##...##  ...##..  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
.##.##.  ...##..  ##.....  ##...##  ....##.  ##...##  .##..##  ..##...  ##...##  ....##.
..###..  .######  #######  .#####.  ....##.  .#####.  ..####.  ..##...  .#####.  .####..
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""
"""The digits 0 to 9 as bitmaps, 7 wide and 12 high, side by side."""


class LeNet5Classic(Classifier):
    """LeNet-5 as published: trainable sub-sampling, a sparsely connected C3 and outputs that are distances to bitmaps.

    Takes images (N, 1, 32, 32), the background at about -0.1 and the ink at 1.175; 60,000 trainable parameters.
    Weights are initialised as is usual today, from U(±1 / √fan-in): with the paper's U(±2.4 / fan-in), the sigmoids
    initially pass on little of the image.

    Reference: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (1998), 2278–2324.

    Args:
        optimizer: Makes the optimizer from the parameters.
    """

    def __init__(self, optimizer: OptimizerCallable = lambda params: torch.optim.Adam(params)) -> None:
        super().__init__(optimizer, num_classes=10)
        self.c1 = nn.Conv2d(1, 6, kernel_size=5)
        self.tanh1 = ScaledTanh()
        self.s2 = SubSampling(6)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.tanh3 = ScaledTanh()
        self.s4 = SubSampling(16)
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)
        self.tanh5 = ScaledTanh()
        self.f6 = nn.Linear(120, 84)
        self.tanh6 = ScaledTanh()
        self.rbf = EuclideanRBF(bitmaps())
        parametrize.register_parametrization(self.c3, "weight", SparseKernels(SEEN_BY_C3))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 32, 32) to logits (N, 10), the negative squared distances to the digits' bitmaps."""
        x = self.s2(self.tanh1(self.c1(images)))
        x = self.s4(self.tanh3(self.c3(x)))
        x = self.tanh5(self.c5(x)).flatten(1)
        return self.rbf(self.tanh6(self.f6(x)))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the paper's equation 9, the cross-entropy with an added rubbish class at a constant distance.

        It makes the distance of the correct class small; for the plain cross-entropy it would suffice that the other
        classes' distances are larger.
        """
        rubbish = logits.new_full((len(logits), 1), -RUBBISH)
        return cross_entropy(torch.cat([logits, rubbish], dim=1), targets)

    def connections(self) -> dict[str, int]:
        """Count each layer's connections for a 32×32 image: every unit's incoming weights and bias."""
        found = {}

        def count(name: str, layer: nn.Module, units: Tensor) -> None:
            if isinstance(layer, SubSampling):
                found[name] = units.numel() * (SubSampling.SIDE**2 + 1)
            elif isinstance(layer, EuclideanRBF):
                found[name] = layer.bitmaps.numel()
            else:  # every weight and bias is used once at each position of the map
                positions = units[0, 0].numel()
                found[name] = positions * sum(parameter.numel() for parameter in layer.parameters())

        handles = [
            layer.register_forward_hook(lambda layer, _, units, name=name: count(name, layer, units))
            for name, layer in self.named_children()
            if name in ("c1", "s2", "c3", "s4", "c5", "f6", "rbf")
        ]
        try:
            with torch.no_grad():
                self(torch.zeros(1, 1, 32, 32, device=self.device, dtype=self.dtype))
        finally:
            for handle in handles:
                handle.remove()
        return found


class ScaledTanh(nn.Module):
    """The paper's squashing function 1.7159 · tanh(2/3 · x), which maps ±1 to ±1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return values within ±1.7159, in the shape of ``x``."""
        return 1.7159 * torch.tanh(2 / 3 * x)


class SubSampling(nn.Module):
    """Sums over 2×2 units, scaled by a weight and shifted by a bias per map, then a sigmoid.

    Args:
        maps: Number of maps.
    """

    SIDE = 2

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, maps, H, W) to (N, maps, H / 2, W / 2) with values in 0…1."""
        sums = avg_pool2d(x, self.SIDE, divisor_override=1)
        return torch.sigmoid(self.weight[:, None, None] * sums + self.bias[:, None, None])


class SparseKernels(nn.Module):
    """Parametrization of a sparsely connected convolution: only the kernels of existing connections are parameters.

    Args:
        seen: For each output map, the indices of the input maps that it is connected to.
    """

    def __init__(self, seen: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        mask = torch.zeros(len(seen), 1 + max(map(max, seen)), dtype=torch.bool)
        for output, inputs in enumerate(seen):
            mask[output, list(inputs)] = True
        self.register_buffer("mask", mask)

    def forward(self, kernels: Tensor) -> Tensor:
        """Scatter kernels (K, height, width) into a weight (outputs, inputs, height, width), zero elsewhere."""
        weight = kernels.new_zeros(*self.mask.shape, *kernels.shape[1:])
        return weight.masked_scatter(self.mask[..., None, None], kernels)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Extract the kernels (K, height, width) of existing connections from a weight."""
        return weight[self.mask]


class EuclideanRBF(nn.Module):
    """Output units that measure the distance of their input to a fixed pattern.

    Args:
        bitmaps: The pattern of each unit (units, features).
    """

    def __init__(self, bitmaps: Tensor) -> None:
        super().__init__()
        self.register_buffer("bitmaps", bitmaps)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features) to negative squared distances (N, units), largest for the nearest pattern."""
        return -(x[:, None] - self.bitmaps).square().sum(dim=2)


def bitmaps() -> Tensor:
    """Return the digits' bitmaps as rows (10, 84), ink as 1 and background as -1."""
    lines = [line.split() for line in DIGITS.split("\n")[1:-1]]
    digits = ["".join(line[digit] for line in lines) for digit in range(10)]
    return torch.tensor([[1.0 if cell == "#" else -1.0 for cell in digit] for digit in digits])
