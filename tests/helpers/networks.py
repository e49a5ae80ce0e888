"""Models and batches of every kind, small enough to train in a second."""

from dataclasses import dataclass
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

MAPS = {"kernels", "feature_maps"}
ALWAYS = {"activations", "architecture", "curves", "gradient_flow"}
CLASSES = {"class_report", "projection"}
NO_PASS = {"activations", "curves", "gradient_flow", "kernels", "class_report"}
"""What needs no forward pass of our own."""


class Base(pl.LightningModule):
    """What the models here share; `drawn` is what there is to show of one."""

    drawn = ALWAYS | CLASSES | MAPS
    lines: tuple[str, ...] = ()
    shape: tuple[int, ...] = (1, 8, 8)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def validation_step(self, batch, batch_idx):
        return self.loss(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.05)

    @classmethod
    def data(cls):
        x = torch.randn(24, *cls.shape, generator=torch.Generator().manual_seed(0))
        return TensorDataset(x, torch.arange(24) % 4)

    collate = None


def head(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 4))


def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), *head(144))


class UNet(Base):
    """Segments: a class per pixel."""

    drawn = ALWAYS | MAPS | {"projection"}
    lines = ("ClassReport found nothing to report",)

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        fine = F.relu(self.down1(x))
        coarse = F.relu(self.down2(F.max_pool2d(fine, 2)))
        return self.out(torch.cat([self.up(coarse), fine], dim=1))

    @classmethod
    def data(cls):
        x = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        return TensorDataset(x, (3 * x[:, 0]).long().clamp(max=2))


class Volume(Base):
    shape = (1, 6, 8, 8)

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), *head(4 * 4 * 6 * 6))

    def forward(self, x):
        return self.net(x)


class Audio(Base):
    shape = (1, 200)

    def __init__(self):
        super().__init__()
        body = [nn.Conv1d(1, 6, 9, stride=4), nn.ReLU(), nn.Conv1d(6, 8, 5, stride=2), nn.AdaptiveAvgPool1d(4)]
        self.net = nn.Sequential(*body, *head(32))

    def forward(self, x):
        return self.net(x)


class ViT(Base):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class Recurrent(Base):
    drawn = ALWAYS | CLASSES
    lines = ("the model has no convolution",)
    shape = (10, 3)

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.lstm(x)[1][0][-1])


class Autoencoder(Base):
    drawn = ALWAYS | MAPS | {"projection"}
    lines = ("ClassReport found nothing to report",)

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
        self.decoder = nn.ConvTranspose2d(2, 1, 2, stride=2)

    def forward(self, x):
        return self.decoder(self.encoder(x))

    def loss(self, batch):
        return F.mse_loss(self(batch[0]), batch[0])


class TwoInputs(Base):
    """Takes an image and what is known of it; pictures of activations need one input."""

    drawn = NO_PASS
    lines = ("expected a forward() with one required input, got forward(image, age)",)

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(145, 4)

    def forward(self, image, age):
        return self.head(torch.cat([F.relu(self.conv(image)).flatten(1), age], dim=1))

    def loss(self, batch):
        image, age, y = batch
        return F.cross_entropy(self(image, age), y)

    @classmethod
    def data(cls):
        return TensorDataset(*super().data().tensors[:1], torch.rand(24, 1), torch.arange(24) % 4)


class TwoInputsOfWhichOneIsOptional(TwoInputs):
    drawn = Base.drawn
    lines = ()

    def forward(self, image, age=None):
        return super().forward(image, torch.zeros(len(image), 1) if age is None else age)


class Small(Base):
    def __init__(self):
        super().__init__()
        self.net = small()

    def forward(self, x):
        return self.net(x)


class DictBatch(Small):
    def loss(self, batch):
        return F.cross_entropy(self(batch["image"]), batch["label"])

    @staticmethod
    def collate(items):
        images, labels = zip(*items, strict=True)
        return {"id": torch.zeros(len(items)), "label": torch.stack(labels), "image": torch.stack(images)}


@dataclass
class Scans:
    name: str
    image: torch.Tensor
    label: torch.Tensor


class Pair(NamedTuple):
    label: torch.Tensor
    image: torch.Tensor


class DataclassBatch(Small):
    def loss(self, batch):
        return F.cross_entropy(self(batch.image), batch.label)

    @staticmethod
    def collate(items):
        images, labels = zip(*items, strict=True)
        return Scans("scans", torch.stack(images), torch.stack(labels))


class NamedTupleBatch(DataclassBatch):
    @staticmethod
    def collate(items):
        images, labels = zip(*items, strict=True)
        return Pair(torch.stack(labels), torch.stack(images))


class DeviceTransforms(Small):
    """Normalises and augments on the device."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return (x - 0.5) / 2 + (0.1 * torch.randn_like(x) if self.trainer.training else 0), y


class ChannelsLast(Small):
    def __init__(self):
        super().__init__()
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        return self.net(x.to(memory_format=torch.channels_last))


class Observer(nn.Module):
    """Fakes eight bits, as quantisation-aware training does; its buffers change, and grow, in evaluation too."""

    def __init__(self):
        super().__init__()
        self.register_buffer("low", torch.tensor([]))
        self.register_buffer("high", torch.tensor([]))

    def forward(self, x):
        values = x.detach().flatten(1)
        low, high = values.amin(1).amin()[None], values.amax(1).amax()[None]
        if self.low.numel():
            low, high = 0.9 * self.low + 0.1 * low, 0.9 * self.high + 0.1 * high
        self.low.resize_(low.shape).copy_(low)
        self.high.resize_(high.shape).copy_(high)
        scale = ((self.high - self.low) / 255).clamp(min=1e-6).item()
        zero = int((-self.low / scale).round().clamp(0, 255))
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)


class QuantisationAware(Base):
    def __init__(self):
        super().__init__()
        self.observer, self.net = Observer(), small()

    def forward(self, x):
        return self.net(self.observer(x))


class Lazy(Base):
    def __init__(self):
        super().__init__()
        layers = [
            nn.LazyConv2d(4, 3),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.Flatten(),
            nn.LazyLinear(8),
            nn.LazyLinear(4),
        ]
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)


class Shared(Base):
    """One convolution runs three times, and a weight belongs to two layers."""

    def __init__(self):
        super().__init__()
        self.first, self.conv = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.inward, self.outward, self.head = nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 4)
        self.outward.weight = self.inward.weight

    def forward(self, x):
        x = F.relu(self.first(x))
        for _ in range(3):
            x = x + F.relu(self.conv(x))
        return self.head(self.outward(F.relu(self.inward(x.flatten(1)))))


class Compiled(Small):
    """Of the submodule, which runs compiled in training and uncompiled for the pictures."""

    drawn = Small.drawn - {"activations"}
    lines = ("ActivationStats: all layers run in compiled code, which hooks do not reach; nothing is drawn",)

    def __init__(self):
        super().__init__()
        self.net = torch.compile(self.net, backend="eager")


class CompiledInPlace(Small):
    drawn, lines = Compiled.drawn, Compiled.lines

    def __init__(self):
        super().__init__()
        self.net.compile(backend="eager")


class Scripted(Base):
    """Of what TorchScript runs, only the whole can be listened to."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.rest = torch.jit.script(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten()))
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        return self.head(self.rest(self.first(x)))


class TwoHeads(Base):
    """Without a forward, and with two heads of which nobody can know whose classes are those of the batch."""

    drawn = NO_PASS - {"class_report"}
    lines = ("ClassReport found nothing to report", 'missing the required "forward" function')

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())
        self.classes, self.turns = nn.Linear(144, 4), nn.Linear(144, 4)

    def loss(self, batch):
        x, y = batch
        hidden = self.body(x)
        return F.cross_entropy(self.classes(hidden), y) + F.cross_entropy(self.turns(hidden), y.flip(0))


class Headless(Base):
    """Without a forward, but with one head."""

    drawn = NO_PASS
    lines = ('missing the required "forward" function',)

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), nn.Linear(144, 4)

    def loss(self, batch):
        return F.cross_entropy(self.head(self.body(batch[0])), batch[1])


MODELS = [
    UNet,
    Volume,
    Audio,
    ViT,
    Recurrent,
    Autoencoder,
    TwoInputs,
    TwoInputsOfWhichOneIsOptional,
    DictBatch,
    DataclassBatch,
    NamedTupleBatch,
    DeviceTransforms,
    ChannelsLast,
    QuantisationAware,
    Lazy,
    Shared,
    Compiled,
    CompiledInPlace,
    Scripted,
    TwoHeads,
    Headless,
]
