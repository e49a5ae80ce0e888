"""Recurrent networks, a language model, embeddings."""

from pydoc_data.topics import topics
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.diagnosis.healthy.dense import Labelled
from benchmarks.diagnosis.healthy.modules import Task, task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.networks import Encoder
from benchmarks.diagnosis.training import Run


class Rows(nn.Module):
    """Reads an image row by row: images (N, 1, H, W) to logits (N, 10).

    Args:
        kind: Of the recurrent layer.
        size: Pixels of a row.
    """

    def __init__(self, kind: type[nn.RNNBase], size: int) -> None:
        super().__init__()
        self.recurrent = kind(size, 64, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, H, W) to logits (N, 10)."""
        return self.head(self.recurrent(images.squeeze(1))[0][:, -1])


class LanguageModel(Task):
    """Predicts the next character."""

    def __init__(self, characters: int, width: int = 48) -> None:
        super().__init__(lr=3e-3)
        self.characters, self.positions = nn.Embedding(characters, width), nn.Embedding(32, width)
        self.encoder = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.head = nn.Linear(width, characters)

    def forward(self, text: Tensor) -> Tensor:
        """Maps characters (N, T) to logits (N, T, characters)."""
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1])
        return self.head(self.encoder(self.characters(text) + self.positions.weight[: text.shape[1]], mask))

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean cross-entropy of all characters."""
        return F.cross_entropy(self(batch[0][:, :-1]).flatten(0, 1), batch[0][:, 1:].flatten())


class Embedded(Task):
    """Adds up an embedding of each pixel; only the embeddings that are used have a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(64 * 17, 32, mode="mean", sparse=True)
        self.head = nn.Linear(32, 10)

    def forward(self, words: Tensor) -> Tensor:
        """Maps words (N, 64) to logits (N, 10)."""
        return self.head(self.embedding(words))

    def loss(self, batch: Any) -> Tensor:
        """Returns the cross-entropy."""
        return F.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        """Returns an optimizer that knows sparse gradients."""
        return torch.optim.SGD(self.parameters(), lr=5.0)


def _words(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    levels = images.flatten(1)
    levels = (16 * (levels - levels.min()) / (levels.max() - levels.min())).round().long()
    return levels + 17 * torch.arange(64), targets


class Patches(nn.Module):
    """A transformer over the pixels of an image of 8×8, with a sum over positions at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(8, 48)
        self.positions = nn.Parameter(0.02 * torch.randn(8, 48))
        self.encoder = Encoder(48, nn.GELU, 0.1)
        self.head = nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, 8, 8) to logits (N, 10)."""
        return self.head(self.encoder(self.rows(images.squeeze(1)) + self.positions).mean(1))


def _recurrent(kind: type[nn.RNNBase], lr: float) -> Run:
    run = task(Labelled(Rows(kind, 28), F.cross_entropy, lr), "mnist")
    run.options["gradient_clip_val"] = 1.0
    return run


@healthy("LSTM over rows", "LSTM", "mnist")
def lstm() -> Run:
    return _recurrent(nn.LSTM, 3e-3)


@healthy("GRU over rows", "GRU", "mnist")
def gru() -> Run:
    return _recurrent(nn.GRU, 3e-3)


@healthy("transformer over rows", "transformer", "digits")
def rows() -> Run:
    return task(Labelled(Patches(), F.cross_entropy, 3e-3), "digits", batch_size=32)


@healthy("language model", "transformer", "text")
def language() -> Run:
    text = "".join(topics.values())[:60_000]  # Python's own manual
    known = sorted(set(text))
    numbers = torch.tensor([known.index(letter) for letter in text])
    pieces = numbers[: len(numbers) // 33 * 33].view(-1, 33)
    train, val = TensorDataset(pieces[:1600]), TensorDataset(pieces[1600:])
    loaders = DataLoader(train, 32, shuffle=True), DataLoader(val, 100)
    return Run(LanguageModel(len(known)), *loaders, {"max_epochs": 4})


@healthy("sparse gradients", "embedding", "digits")
def sparse() -> Run:
    return task(Embedded(), "digits", _words, batch_size=32)
