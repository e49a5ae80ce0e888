#!/usr/bin/env bash
# `torch.optim.swa_utils.update_bn`, the last step of stochastic weight averaging, computes the running statistics of
# every batch normalisation anew, of frozen ones (in evaluation mode, without gradients) too, and leaves these in
# training mode.
#
# Guess: frozen layers stay as they are, with their mode. In fine-tuning with a frozen backbone, the statistics for which
# its weights were trained are gone: they are now those of the data given, and change further with each later step.
#
# Seen with torch==2.14.1 for a frozen layer with mean 5.0:
#   mean 0.2, in training mode True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'torch==2.14.1' 'numpy==2.4.6'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

torch.manual_seed(0)
backbone = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
model = nn.Sequential(backbone, nn.Flatten(), nn.Linear(72, 2))
backbone.requires_grad_(False).eval()
backbone[1].running_mean.fill_(5.0)
averaged = AveragedModel(model)
assert not averaged.module[0][1].training  # as frozen as in the model
update_bn([torch.randn(8, 1, 8, 8)], averaged)
frozen = averaged.module[0][1]
print(f"mean {frozen.running_mean.abs().max():.1f}, in training mode {frozen.training}")
assert frozen.running_mean.abs().max() < 1 and frozen.training
EOF
venv/bin/python check.py
