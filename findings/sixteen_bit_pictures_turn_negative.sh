#!/usr/bin/env bash
# torchvision's `ToTensor` (and `to_tensor`) reads a 16-bit grey picture as signed: values above 32,767, the brighter
# half, become negative, and nothing is scaled to 0..1. The v2 transforms, `ToImage` and `ToDtype(scale=True)`, read
# the same picture rightly.
#
# Guess: 0.61 for 40,000, as for 8 bits; or unscaled, but positive. It concerns microscopy, X-ray, depth and satellite
# pictures in PNG or TIFF: training runs, on pictures whose bright parts are darker than black.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchvision==0.29.1, pillow==13.0.0:
#   40000 of 65535: ToTensor -25536, v2 0.610
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchvision==0.29.1' 'pillow==13.0.0'
cd "$folder"
cat > check.py << 'EOF'
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import ToTensor, v2

picture = Image.fromarray(np.array([[0, 1000, 40_000, 65_535]], np.uint16))
old = ToTensor()(picture)[0, 0, 2].item()
new = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(picture)[0, 0, 2].item()
print(f"40000 of 65535: ToTensor {old}, v2 {new:.3f}")
assert old == 40_000 - 65_536 and abs(new - 40_000 / 65_535) < 1e-6
EOF
venv/bin/python check.py
