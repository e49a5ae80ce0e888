#!/usr/bin/env bash
# The three overlap metrics of torchmetrics.segmentation give three different numbers for a class that is neither in
# the picture nor predicted: MeanIoU -1, DiceScore NaN, GeneralizedDiceScore 0. With `per_class=True` (or
# average="none") these come out as results, and a mean over pictures, as a logger takes it, goes wrong in three ways.
#
# Guess: all NaN, or all 1, since nothing is wrong. A -1 among values between 0 and 1 pulls a mean down without a
# word: the per-class IoU of a class that is in half of the pictures, and always found, is 0 on average.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   perfect prediction, class 2 absent: MeanIoU [1, 1, -1], DiceScore [1, 1, nan], GeneralizedDiceScore [1, 1, 0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

labels = torch.tensor([[[0, 1], [1, 0]]])
found = {
    "MeanIoU": MeanIoU(3, per_class=True, input_format="index"),
    "DiceScore": DiceScore(3, average="none", input_format="index"),
    "GeneralizedDiceScore": GeneralizedDiceScore(3, per_class=True, input_format="index"),
}
values = {name: metric(labels, labels).flatten() for name, metric in found.items()}
texts = [f"{name} [{', '.join(f'{value:g}' for value in row.tolist())}]" for name, row in values.items()]
print("perfect prediction, class 2 absent:", ", ".join(texts))
assert values["MeanIoU"][2] == -1 and values["DiceScore"][2].isnan() and values["GeneralizedDiceScore"][2] == 0
EOF
venv/bin/python check.py
