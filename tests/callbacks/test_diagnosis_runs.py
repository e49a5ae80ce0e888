"""All kinds of runs that are sound, of which a diagnosis says nothing."""

import pytest
import pytorch_lightning as pl
import torch
from helpers.diagnosed import Doubled, Kept, Manual, hooks_of, rules
from helpers.tiny import TinyData, TinyNet, fit, loaders
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import Diagnosis


class Streamed(IterableDataset):
    def __iter__(self):
        data = TinyData(48)
        yield from (data[index] for index in range(48))


class Named(TinyNet):
    def training_step(self, batch, batch_idx):
        return super().training_step((batch["image"], batch["label"]), batch_idx)

    def validation_step(self, batch, batch_idx):
        return super().validation_step((batch["image"], batch["label"]), batch_idx)


def named(seed):
    return DataLoader([{"image": x, "label": y} for x, y in TinyData(48, seed=seed)], 8, shuffle=not seed)


class Several(TinyNet):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)


class WrittenOut(TinyNet):
    """The loss is not known to compare classes, but it does."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        return -self(x).log_softmax(1)[torch.arange(len(y)), y].mean()


class Lazy(TinyNet):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.LazyLinear(16)


class Regression(TinyNet):
    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self(x)[:, :1], x.mean((1, 2, 3))[:, None])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))


class Autoencoder(Regression):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid())

    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self.decoder(self(x)), x.flatten(1))


class Negative(Regression):
    """The evidence of a density, whose negative logarithm falls below zero."""

    def training_step(self, batch, batch_idx):
        x, _ = batch
        found = self(x)
        return (found[:, 0] - x.mean((1, 2, 3))).square().mean() * 100 - 50


class Recurrent(TinyNet):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 4)
        del self.conv1, self.conv2, self.norm, self.fc1, self.fc2, self.drop

    def forward(self, x):
        return self.head(self.rnn(x[:, 0])[0][:, -1])


class Words(TinyNet):
    """Inputs are whole numbers."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(3, 8), nn.Linear(8 * 64, 4)
        del self.conv1, self.conv2, self.norm, self.fc1, self.fc2, self.drop

    def forward(self, x):
        return self.head(self.embedding((x.flatten(1) > 0.6).long()).flatten(1).relu())


class Complex(TinyNet):
    """Inputs are complex numbers."""

    def __init__(self):
        super().__init__()
        self.spectral = nn.Parameter(torch.randn(64, 16, dtype=torch.complex64) / 8)

    def forward(self, x):
        return self.fc2((torch.fft.fft2(x).flatten(1) @ self.spectral).abs())


class Adversarial(TinyNet):
    """A generator and a discriminator."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 64), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Linear(64, 16), nn.LeakyReLU(), nn.Linear(16, 1))
        del self.conv1, self.conv2, self.norm, self.fc1, self.fc2, self.drop

    def forward(self, x):
        return self.generator(x)

    def training_step(self, batch, batch_idx):
        real = batch[0].flatten(1)
        first, second = self.optimizers()
        fake = self(torch.randn(len(real), 4))
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        first.zero_grad()
        self.manual_backward(F.binary_cross_entropy_with_logits(self.discriminator(fake), ones))
        first.step()
        second.zero_grad()
        scores = self.discriminator(torch.cat([real, fake.detach()]))
        self.manual_backward(F.binary_cross_entropy_with_logits(scores, torch.cat([ones, zeros])))
        second.step()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return [torch.optim.Adam(part.parameters(), 2e-3) for part in (self.generator, self.discriminator)]


class Skipping(TinyNet):
    """Skips batches, the first and every other."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) if batch_idx % 2 else None


class Checkpointing(TinyNet):
    def forward(self, x):
        x = torch.utils.checkpoint.checkpoint(lambda x: self.relu(self.conv1(x)), x, use_reentrant=False)
        x = self.pool(F.relu(self.conv2(x))).flatten(1)
        return self.fc2(self.act(self.fc1(x)))


KINDS = {
    "streamed": (TinyNet, (DataLoader(Streamed(), 8), None), {}),
    "dictionaries": (Named, (named(0), named(1)), {}),
    "no validation": (TinyNet, (loaders()[0], None), {}),
    "several validations": (Several, (loaders()[0], [loaders()[1], loaders()[1]]), {}),
    "few steps": (TinyNet, None, {"max_steps": 5}),
    "limited": (TinyNet, None, {"limit_train_batches": 2, "limit_val_batches": 1}),
    "validation in the epoch": (TinyNet, None, {"val_check_interval": 2}),
    "no sanity check": (TinyNet, None, {"num_sanity_val_steps": 0}),
    "reloaded": (TinyNet, None, {"reload_dataloaders_every_n_epochs": 1}),
    "batches of one": (Recurrent, loaders(24, 1), {}),
    "lazy": (Lazy, None, {}),
    "regression": (Regression, None, {}),
    "autoencoder": (Autoencoder, None, {}),
    "negative loss": (Negative, None, {}),
    "recurrent": (Recurrent, None, {}),
    "whole numbers": (Words, None, {}),
    "complex numbers": (Complex, None, {}),
    "adversarial": (Adversarial, None, {}),
    "manual": (Manual, None, {}),
    "bf16": (TinyNet, None, {"precision": "bf16-true"}),
    "written out": (WrittenOut, None, {}),
    "skipping": (Skipping, None, {}),
    "checkpointing": (Checkpointing, None, {}),
    "accumulation that changes": (
        TinyNet,
        None,
        {"callbacks": [pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 3})]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_runs_that_are_sound_are_silent(kind, tmp_path):
    net, data, options = KINDS[kind]
    options = dict(options)
    callback = Kept()
    callbacks = [callback, *options.pop("callbacks", [])]
    model = net()
    fit(tmp_path, callbacks, model=model, data=data, **{"max_epochs": 14, **options})
    assert rules(callback) == []
    assert hooks_of(model) == []
    assert callback.evidence.looks
    if kind not in ("adversarial", "manual"):
        assert len(callback.evidence.losses)
    has_classes = kind not in ("regression", "autoencoder", "negative loss", "adversarial", "written out")
    assert callback.evidence.of_classes == has_classes


@pytest.mark.parametrize("options", [{"fast_dev_run": True}, {"max_epochs": 0}, {"max_steps": 0}], ids=str)
def test_where_nothing_is_trained_nothing_is_said(options, tmp_path):
    callback = Diagnosis()
    fit(tmp_path, [callback], model=Doubled, **options)
    assert callback.findings() == []


def test_a_batch_that_is_to_be_fitted_is_no_leak(tmp_path):
    callback = Diagnosis()
    fit(tmp_path, [callback], overfit_batches=1, max_epochs=30)
    assert rules(callback) == []


def test_a_compiled_model_is_left_alone(tmp_path):
    callback = Diagnosis()
    compiled = torch.compile(TinyNet(), backend="eager")
    fit(tmp_path, [callback], model=compiled)
    assert rules(callback) == []
