#!/usr/bin/env bash
# The metrics of segmentation-models-pytorch give a class that is neither in the data nor predicted the score 1
# (zero_division=1.0 by default). A prediction that is wrong at every pixel, of one class where another is, has a
# macro IoU and F1 of 0.8 with ten classes, and of 0.98 with a hundred.
#
# Guess: 0, as reduction="micro" gives; absent classes are left out, as scikit-learn and torchmetrics do. Batches with
# few of the classes look best. `zero_division=float("nan")` does not help: the mean is NaN then.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchvision==0.29.1, pillow==13.0.0, segmentation-models-pytorch==0.6.0,
# timm==1.0.31, huggingface_hub==2.4.0:
#   every pixel wrong, 10 classes: macro IoU 0.8, macro F1 0.8, micro IoU 0.0; with NaN for absent ones: nan
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
counts = smp.metrics.get_stats(torch.ones_like(labels), labels, mode="multiclass", num_classes=10)
macro = smp.metrics.iou_score(*counts, reduction="macro").item()
f1 = smp.metrics.f1_score(*counts, reduction="macro").item()
micro = smp.metrics.iou_score(*counts, reduction="micro").item()
nan = smp.metrics.iou_score(*counts, reduction="macro", zero_division=float("nan")).item()
print(f"every pixel wrong, 10 classes: macro IoU {macro:.1f}, macro F1 {f1:.1f}, micro IoU {micro}; ", end="")
print(f"with NaN for absent ones: {nan}")
assert abs(macro - 0.8) < 1e-3 and abs(f1 - 0.8) < 1e-3 and micro < 1e-3 and nan != nan
EOF
venv/bin/python check.py
