"""Autoencoders, a GAN, and diffusion."""

from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.diagnosis.healthy.modules import Task, task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.training import Run


def perceptron(*widths: int, last: nn.Module | None = None) -> nn.Sequential:
    """Fully connected layers with ReLUs between them.

    Args:
        *widths: Features, from input to output.
        last: Comes after the last layer.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1], *([last] if last else []))


def pixels(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns images as rows of pixels in 0…1, and class indices."""
    rows = images.flatten(1)
    low, high = rows.min(), rows.max()
    return (rows - low) / (high - low), targets


class Autoencoder(Task):
    """Restores images from few features.

    Args:
        size: Pixels of an image.
        noise: Standard deviation of what is added to the input.
    """

    def __init__(self, size: int, noise: float = 0.0) -> None:
        super().__init__()
        self.noise = noise
        self.encoder, self.decoder = perceptron(size, 128, 16), perceptron(16, 128, size, last=nn.Sigmoid())

    def forward(self, rows: Tensor) -> Tensor:
        """Maps pixels (N, size) to pixels (N, size)."""
        return self.decoder(self.encoder(rows))

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean squared error."""
        rows = batch[0]
        return F.mse_loss(self(rows + self.noise * torch.randn_like(rows)), rows)


class Tied(Task):
    """An autoencoder whose decoder uses the encoder's weights, transposed."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(size, 64)
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, rows: Tensor) -> Tensor:
        """Maps pixels (N, size) to pixels (N, size)."""
        return F.linear(self.encoder(rows).relu(), self.encoder.weight.T, self.bias).sigmoid()

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean binary cross-entropy."""
        return F.binary_cross_entropy(self(batch[0]), batch[0])


class VAE(Task):
    """A variational autoencoder; its loss is a sum over pixels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder, self.decoder = perceptron(size, 128, 16), perceptron(8, 128, size)

    def loss(self, batch: Any) -> Tensor:
        """Returns the negative evidence lower bound, the mean over the batch."""
        mean, log_variance = self.encoder(batch[0]).chunk(2, dim=1)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        likelihood = F.binary_cross_entropy_with_logits(self.decoder(code), batch[0], reduction="none").sum(1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return (likelihood + divergence).mean()


class GAN(pl.LightningModule):
    """Two networks with an optimizer each."""

    automatic_optimization = False

    def __init__(self, size: int) -> None:
        super().__init__()
        self.generator = perceptron(16, 64, 128, size, last=nn.Sigmoid())
        self.discriminator = nn.Sequential(
            nn.Linear(size, 128),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(128, 64),
            nn.LeakyReLU(0.2),
            nn.Linear(64, 1),
        )

    def forward(self, noise: Tensor) -> Tensor:
        """Maps noise (N, 16) to pixels (N, size)."""
        return self.generator(noise)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Makes a step of both."""
        of_generator, of_discriminator = self.optimizers()
        real = batch[0]
        fake = self(torch.randn(len(real), 16))
        found = torch.cat([self.discriminator(real), self.discriminator(fake.detach())])
        wanted = torch.cat([0.9 * torch.ones(len(real), 1), torch.zeros(len(real), 1)])
        loss = F.binary_cross_entropy_with_logits(found, wanted)
        of_discriminator.zero_grad()
        self.manual_backward(loss)
        of_discriminator.step()
        fooled = F.binary_cross_entropy_with_logits(self.discriminator(fake), torch.ones(len(real), 1))
        of_generator.zero_grad()
        self.manual_backward(fooled)
        of_generator.step()
        self.log_dict({"discriminator_loss": loss, "generator_loss": fooled})

    def configure_optimizers(self) -> Any:
        """Returns both optimizers."""
        return [
            torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for part in (self.generator, self.discriminator)
        ]


class Diffusion(Task):
    """Predicts the noise in a noisy image."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.network = perceptron(size + 1, 256, 256, size)

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean squared error of the noise."""
        rows = 2 * batch[0] - 1
        share = torch.rand(len(rows), 1)
        noise = torch.randn_like(rows)
        noisy = (1 - share).sqrt() * rows + share.sqrt() * noise
        return F.mse_loss(self.network(torch.cat([noisy, share], dim=1)), noise)


@healthy("autoencoder", "perceptron", "mnist")
def autoencoder() -> Run:
    return task(Autoencoder(784), "mnist", pixels)


@healthy("denoising autoencoder", "perceptron", "fashion")
def denoising() -> Run:
    return task(Autoencoder(784, noise=0.3), "fashion", pixels)


@healthy("tied weights", "perceptron", "mnist")
def tied() -> Run:
    return task(Tied(784), "mnist", pixels)


@healthy("variational autoencoder", "perceptron", "mnist")
def variational() -> Run:
    return task(VAE(784), "mnist", pixels)


@healthy("GAN", "perceptron", "mnist", seeds=(0, 1, 2))
def gan() -> Run:
    return task(GAN(784), "mnist", pixels)


@healthy("diffusion", "perceptron", "digits")
def diffusion() -> Run:
    return task(Diffusion(64), "digits", pixels, batch_size=32)
