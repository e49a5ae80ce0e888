"""ConvTasNet in asteroid's system, which separates two voices: batches are pairs of waveforms, no classes."""

import torch
from asteroid.engine import System
from asteroid.losses import PITLossWrapper, pairwise_neg_sisdr
from asteroid.models import ConvTasNet
from torch.utils.data import DataLoader, TensorDataset

LIGHTNING = "pytorch_lightning"


def build():
    voices = torch.randn(16, 2, 800, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(voices.sum(1), voices)
    train, val = DataLoader(data, batch_size=4, shuffle=True), DataLoader(data, batch_size=4)
    model = ConvTasNet(n_src=2, n_filters=16, n_blocks=2, n_repeats=1, bn_chan=8, hid_chan=16, skip_chan=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    module = System(model, optimizer, PITLossWrapper(pairwise_neg_sisdr, pit_from="pw_mtx"), train, val)
    return module, train, val
