#!/usr/bin/env bash
# Lightning's `EMAWeightAveraging(update_starting_at_step=N)` validates the weights before the first step until step N, and
# hands those back when training ends before it: the network comes out untrained, and its checkpoints too. With
# `update_starting_at_epoch=N` averaging does not wait at all. There is no warning.
#
# Guess: until averaging starts, the weights in training are those that count; with a start by epoch it starts at that
# epoch. It concerns a warm-up longer than a short or stopped training, and early stopping, which sees a validation that
# stands still. Choose a start well before the first validation.
#
# Seen with torch==2.14.1, pytorch-lightning==2.6.6 (a weight from 0 towards 1, ten epochs of one step each):
#   no averaging             validated 0.20 0.36 0.49 0.59 0.67 0.74 0.79 0.83 0.87 0.89, in the end 0.89
#   from step 6 on           validated 0.00 0.00 0.00 0.00 0.00 0.00 0.79 0.79 0.79 0.79, in the end 0.79
#   from step 50 on          validated 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00, in the end 0.00
#   from epoch 50 on         validated 0.20 0.20 0.20 0.20 0.20 0.20 0.20 0.20 0.20 0.20, in the end 0.20
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
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.layer.weight)
        self.validated = []

    def training_step(self, batch, batch_idx):
        return (self.layer(batch[0]) - 1).square().mean()

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.layer.weight.item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


loader = DataLoader(TensorDataset(torch.ones(1, 1)))
for name, callbacks, expected in [
    ("no averaging", [], 0.893),
    ("from step 6 on", [EMAWeightAveraging(update_starting_at_step=6)], 0.791),
    ("from step 50 on", [EMAWeightAveraging(update_starting_at_step=50)], 0.0),
    ("from epoch 50 on", [EMAWeightAveraging(update_starting_at_epoch=50)], 0.204),
]:
    module = Module()
    trainer = pl.Trainer(
        max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=callbacks,
    )
    trainer.fit(module, loader, loader)
    end = module.layer.weight.item()
    print(f"{name:24} validated {' '.join(f'{weight:.2f}' for weight in module.validated)}, in the end {end:.2f}")
    assert abs(end - expected) < 0.001
EOF
venv/bin/python check.py
