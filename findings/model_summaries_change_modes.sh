#!/usr/bin/env bash
# Tools that print a network's layers, or count what they compute, run it once and leave it in another mode than they
# found it in: `torchinfo.summary` and `thop.profile` put layers that were frozen in evaluation mode back into training, and
# `ptflops` leaves the whole network in evaluation. Lightning keeps the modes that it is given, so that a training after it
# goes on without dropout and with batch normalisation by statistics of no data. Neither tool says a word. Lightning's own
# summary leaves all as it was.
#
# Guess: a summary leaves the network as it was, as Lightning's does. It concerns whoever fine-tunes with frozen batch
# normalisation, or counts operations before training. Give the tool a copy of the network (`copy.deepcopy(model)`).
#
# Seen with torch==2.14.1, torchvision==0.29.1, pytorch-lightning==2.6.6, torchinfo==1.8.0, thop==0.1.1.post2209072238,
# ptflops==0.7.5:
#   before                training: Conv2d Dropout Linear, evaluation: BatchNorm2d
#   Lightning's summary   training: Conv2d Dropout Linear, evaluation: BatchNorm2d
#   torchinfo             training: Conv2d BatchNorm2d Dropout Linear, evaluation: nothing
#   thop                  training: Conv2d BatchNorm2d Dropout Linear, evaluation: nothing
#   ptflops               training: nothing, evaluation: Conv2d BatchNorm2d Dropout Linear
#   trained by Lightning after ptflops, from training mode: BatchNorm2d has seen 0 batches of 5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'torchvision==0.29.1' 'numpy==2.4.6' 'pytorch-lightning==2.6.6' \
    'torchinfo==1.8.0' 'thop==0.1.1.post2209072238' 'ptflops==0.7.5'
cd "$folder"
cat > check.py << 'EOF'
import logging
import warnings

import pytorch_lightning as pl
import thop
import torch
import torchinfo
from ptflops import get_model_complexity_info
from pytorch_lightning.utilities.model_summary import ModelSummary
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
images = torch.rand(10, 3, 8, 8)


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.example_input_array = images[:2]
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.head = nn.Linear(4 * 36, 2)

    def forward(self, batch):
        return self.head(self.drop(self.norm(self.conv(batch))).flatten(1))

    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def modes(module):
    names = {mode: [type(one).__name__ for one in module.children() if one.training is mode] for mode in (True, False)}
    return f"training: {' '.join(names[True]) or 'nothing'}, evaluation: {' '.join(names[False]) or 'nothing'}"


def count(module):
    get_model_complexity_info(module, (3, 8, 8), print_per_layer_stat=False)


everything, frozen = "Conv2d BatchNorm2d Dropout Linear", "training: Conv2d Dropout Linear, evaluation: BatchNorm2d"
for name, act, expected in [
    ("before", lambda module: None, frozen),
    ("Lightning's summary", lambda module: str(ModelSummary(module)), frozen),
    ("torchinfo", lambda module: torchinfo.summary(module, input_data=images, verbose=0), f"training: {everything}, evaluation: nothing"),
    ("thop", lambda module: thop.profile(module, (images,), verbose=False), f"training: {everything}, evaluation: nothing"),
    ("ptflops", count, f"training: nothing, evaluation: {everything}"),
]:
    module = Module()
    module.norm.eval()
    act(module)
    print(f"{name:21} {modes(module)}")
    assert modes(module) == expected

module = Module()
count(module)
trainer = pl.Trainer(
    max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, DataLoader(TensorDataset(images), batch_size=2))
seen = int(module.norm.num_batches_tracked)
print(f"trained by Lightning after ptflops, from training mode: BatchNorm2d has seen {seen} batches of {trainer.global_step}")
assert (seen, trainer.global_step) == (0, 5)
EOF
venv/bin/python check.py
