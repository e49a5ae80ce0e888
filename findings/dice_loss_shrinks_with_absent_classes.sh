#!/usr/bin/env bash
# The multi-class DiceLoss of segmentation-models-pytorch (JaccardLoss and TverskyLoss as well) counts every class
# that is not in the batch as a loss of 0, and divides by all classes. A prediction that is wrong at every pixel costs
# 0.1 where one of ten classes is present, and 1 where all are; a class that is predicted but not there costs nothing.
#
# Guess: a completely wrong prediction costs 1; the mean is over the classes that are present. Losses of batches, data
# sets and numbers of classes are not comparable, and false positives of rare classes are not punished.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchvision==0.29.1, pillow==13.0.0, segmentation-models-pytorch==0.6.0,
# timm==1.0.31, huggingface_hub==2.4.0:
#   every pixel wrong, 1 of 10 classes present: DiceLoss 0.100, JaccardLoss 0.100, TverskyLoss 0.100; 2 of 2: 1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchvision==0.29.1' \
    'pillow==13.0.0' 'segmentation-models-pytorch==0.6.0' 'timm==1.0.31' 'huggingface_hub==2.4.0'
cd "$folder"
cat > check.py << 'EOF'
import segmentation_models_pytorch as smp
import torch

labels = torch.zeros(1, 4, 4, dtype=torch.long)
scores = torch.full((1, 10, 4, 4), -20.0)
scores[:, 1] = 20.0
losses = {name: getattr(smp.losses, name)("multiclass") for name in ("DiceLoss", "JaccardLoss", "TverskyLoss")}
values = {name: loss(scores, labels).item() for name, loss in losses.items()}
both = torch.zeros(1, 4, 4, dtype=torch.long)
both[:, :2] = 1
swapped = 20.0 * torch.stack([both == 1, both == 0], dim=1).float()
whole = losses["DiceLoss"](swapped, both).item()
texts = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
print(f"every pixel wrong, 1 of 10 classes present: {texts}; 2 of 2: {whole:.3f}")
assert all(abs(value - 0.1) < 1e-3 for value in values.values()) and whole > 0.99
EOF
venv/bin/python check.py
