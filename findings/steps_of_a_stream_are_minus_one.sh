#!/usr/bin/env bash
# Lightning's `trainer.estimated_stepping_batches`, which its documentation hands to schedulers, is -1 for a stream (an
# IterableDataset without a length) trained for a number of epochs, and twice what is taken where a
# GradientAccumulationScheduler accumulates more batches later on. There is no error and no warning.
# `CosineAnnealingLR(T_max=-1)` takes it, too: every other step is then taken with a learning rate of zero.
#
# Guess: an error, as documented for accumulation that changes, or infinity for a stream, which a scheduler refuses. It
# concerns whoever trains on webdataset, a Hugging Face stream or shards, and schedules by step. Give the scheduler a
# number of your own, or the trainer `max_steps`.
#
# Seen with torch==2.14.1, pytorch-lightning==2.6.6:
#   stream: estimated -1, taken 12; learning rates 0.1 0 0.1 0 0.1 0 0.1 0 0.1 0 0.1 0
#   accumulating 1, then 4 batches: estimated 120, taken 60
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'pytorch-lightning==2.6.6'
cd "$folder"
cat > check.py << 'EOF'
import logging
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.ones(4, 1))


class Module(pl.LightningModule):
    def __init__(self, scheduled):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.scheduled, self.rates = scheduled, []

    def training_step(self, batch, batch_idx):
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return self.layer(batch[0] if isinstance(batch, list) else batch).square().mean()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        self.estimated = self.trainer.estimated_stepping_batches
        if not self.scheduled:
            return optimizer
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.estimated)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def train(loader, callbacks=(), scheduled=False):
    module = Module(scheduled)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    )
    trainer.fit(module, loader)
    return module, trainer.global_step


module, taken = train(DataLoader(Stream()), scheduled=True)
rates = " ".join(f"{rate:.3g}" for rate in module.rates)
print(f"stream: estimated {module.estimated}, taken {taken}; learning rates {rates}")
assert (module.estimated, taken) == (-1, 12) and sum(rate < 1e-9 for rate in module.rates) == 6

loader = DataLoader(TensorDataset(torch.ones(40, 1)))
module, taken = train(loader, [GradientAccumulationScheduler({0: 1, 1: 4})])
print(f"accumulating 1, then 4 batches: estimated {module.estimated}, taken {taken}")
assert (module.estimated, taken) == (120, 60)
EOF
venv/bin/python check.py
