#!/usr/bin/env bash
# StructuralSimilarityIndexMeasure of torchmetrics, with its default data_range=None, takes the range of values from
# each batch. The same pictures give another SSIM when they come in other batches, and one bright picture raises that
# of all others in its batch. With data_range given it does not depend on batches.
#
# Guess: the range defaults to that of float pictures, 1, as scikit-image does for floats or demands to be told.
# Whoever compares runs with different validation batch sizes, or the last, smaller batch, compares ranges.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   four pictures: one batch 0.9338, one by one 0.9104
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchmetrics.image import StructuralSimilarityIndexMeasure

generator = torch.Generator().manual_seed(0)
brightness = torch.tensor([0.2, 0.5, 1.0, 2.0]).reshape(4, 1, 1, 1)
pictures = brightness * torch.rand(4, 1, 16, 16, generator=generator)
noisy = pictures + 0.05 * torch.randn(4, 1, 16, 16, generator=generator)
whole, parts = StructuralSimilarityIndexMeasure(), StructuralSimilarityIndexMeasure()
whole.update(pictures, noisy)
for index in range(4):
    parts.update(pictures[index : index + 1], noisy[index : index + 1])
print(f"four pictures: one batch {whole.compute():.4f}, one by one {parts.compute():.4f}")
assert abs(whole.compute() - parts.compute()) > 0.01
EOF
venv/bin/python check.py
