"""EEGNet of braindecode on windows of electroencephalograms: batches also say where in the recording a window is."""

import mne
import numpy as np
import pytorch_lightning as pl
import torch
from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.models import EEGNet
from braindecode.preprocessing import create_fixed_length_windows
from torch.nn import functional as F
from torch.utils.data import DataLoader

LIGHTNING = "pytorch_lightning"


class Decoder(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = EEGNet(n_chans=4, n_outputs=2, n_times=128)

    def training_step(self, batch, batch_idx):
        x, y, _ = batch
        loss = F.cross_entropy(self.model(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y, _ = batch
        scores = self.model(x)
        self.log_dict({"val_loss": F.cross_entropy(scores, y), "val_acc": (scores.argmax(1) == y).float().mean()})

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def build():
    generator, recordings = np.random.default_rng(0), []
    for hand in (0, 1):
        info = mne.create_info(["C3", "C4", "Cz", "Pz"], sfreq=64, ch_types="eeg")
        raw = mne.io.RawArray(generator.normal(1 + hand, 1, (4, 64 * 24)), info, verbose="error")
        recordings.append(RawDataset(raw, {"hand": hand}, target_name="hand"))
    windows = create_fixed_length_windows(
        BaseConcatDataset(recordings), window_size_samples=128, window_stride_samples=128, drop_last_window=True
    )
    return Decoder(), DataLoader(windows, batch_size=8, shuffle=True), DataLoader(windows, batch_size=8)
