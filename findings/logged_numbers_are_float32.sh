#!/usr/bin/env bash
# Lightning's `self.log` turns every number into float32, Python floats and int64 tensors too. A time in seconds since
# 1970 moves in steps of 128 seconds in every logger, and a count of samples or tokens beyond 2^24 = 16,777,216 is no
# longer exact.
#
# Guess: a Python float arrives at the logger as it was given, as with `self.logger.log_metrics`. A time that stands
# still looks like a run that hangs. Log differences, or go through `self.logger.log_metrics`.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0, pytorch-lightning==2.6.6:
#   logged 1764252000 to 1764252004, in the file 1764252032 to 1764252032; logged 16777217, in the file 16777216
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0' 'pytorch-lightning==2.6.6'
cd "$folder"
cat > check.py << 'EOF'
import csv
import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        self.log("time", 1764252000.0 + index)
        self.log("samples", torch.tensor(2**24 + 1))
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
trainer = pl.Trainer(
    max_epochs=1, accelerator="cpu", devices=1, logger=CSVLogger(".", name="run"), log_every_n_steps=1, **quiet
)
trainer.fit(Model(), DataLoader(torch.ones(5, 1)))
with open(next(Path("run").rglob("metrics.csv"))) as file:
    rows = list(csv.DictReader(file))
times = [int(float(row["time"])) for row in rows]
samples = int(float(rows[0]["samples"]))
print(f"logged 1764252000 to 1764252004, in the file {times[0]} to {times[-1]}; ", end="")
print(f"logged {2**24 + 1}, in the file {samples}")
assert set(times) == {1764252032} and samples == 2**24
EOF
venv/bin/python check.py
