#!/usr/bin/env bash
# torchmetrics decides anew for every batch whether binary scores are logits or probabilities: a batch with any score
# outside of [0, 1] goes through a sigmoid, a batch with none is taken as it is. Early in training, when many logits
# are small, batches of both kinds are mixed in one state: the AUROC changes with the batch size, and so does the
# accuracy, whose threshold of 0.5 is once one for logits (0) and once one for probabilities.
#
# Guess: the AUROC depends on the order of the scores only, so that batches make no difference. Whoever gives logits
# to BinaryAUROC, BinaryAccuracy, or their multi-label twins, reads other numbers for another batch size; a sigmoid
# before the metric settles it.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   AUROC: one batch 0.9924, batches of 4 0.9748
#   accuracy: one batch 0.85, batches of 4 0.86
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

classes = torch.tensor([0, 1] * 50)
logits = 0.2 * torch.randn(100, generator=torch.Generator().manual_seed(0)) + 0.6 * classes - 0.1
for name, kind in (("AUROC", BinaryAUROC), ("accuracy", BinaryAccuracy)):
    whole, parts = kind(), kind()
    whole.update(logits, classes)
    for start in range(0, 100, 4):
        parts.update(logits[start : start + 4], classes[start : start + 4])
    print(f"{name}: one batch {whole.compute():.4g}, batches of 4 {parts.compute():.4g}")
    assert whole.compute() != parts.compute()
EOF
venv/bin/python check.py
