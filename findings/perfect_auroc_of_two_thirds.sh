#!/usr/bin/env bash
# The macro AUROC of torchmetrics counts a class without a sample as an AUROC of 0, where accuracy, F1, Jaccard and
# average precision leave that class out. A perfect classifier of three classes, of which the data holds two, is given
# 0.667 (with a warning that speaks of "score meaningless").
#
# Guess: the class is left out, or the result is NaN, as its neighbour MulticlassAveragePrecision does. It concerns
# validation on few samples, and sanity checks, where rare classes are absent by chance: the number falls with each.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   perfect scores, class 2 absent: AUROC 0.667, average precision 1.0, F1 1.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import warnings

import torch
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision, MulticlassF1Score

warnings.simplefilter("ignore")
classes = torch.tensor([0, 1] * 50)
scores = torch.nn.functional.one_hot(classes, 3).float()
auroc = MulticlassAUROC(3)(scores, classes).item()
precision = MulticlassAveragePrecision(3)(scores, classes).item()
f1 = MulticlassF1Score(3)(scores, classes).item()
print(f"perfect scores, class 2 absent: AUROC {auroc:.3f}, average precision {precision}, F1 {f1}")
assert abs(auroc - 2 / 3) < 1e-6 and precision == f1 == 1
EOF
venv/bin/python check.py
