#!/usr/bin/env bash
# `wandb.Image` of a float tensor or array with values from 0 to 1, the usual form of a picture in PyTorch, is black:
# the values are cast to bytes as they are (0.5 -> 0, 1.0 -> 1), not multiplied by 255. Negative ones and those of
# uint16 above 255 wrap around (-2 -> 254, 40,000 -> 64).
#
# Guess: floats are scaled from 0..1 to 0..255, as TensorBoard does. The upload succeeds, and the picture in the
# browser is black. Give bytes or a PIL picture.
#
# Seen with wandb==0.31.0, numpy==2.4.6, pillow==13.0.0:
#   floats 0, 0.5, 1, -2 -> [0, 0, 1, 254]; uint16 0, 1000, 40000 -> [0, 232, 64]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'wandb==0.31.0' 'numpy==2.4.6' 'pillow==13.0.0'
cd "$folder"
cat > check.py << 'EOF'
import numpy as np
import wandb

floats = np.asarray(wandb.Image(np.array([[0.0, 0.5, 1.0, -2.0]], np.float32)).image).flatten().tolist()
words = np.asarray(wandb.Image(np.array([[0, 1000, 40_000]], np.uint16)).image).flatten().tolist()
print(f"floats 0, 0.5, 1, -2 -> {floats}; uint16 0, 1000, 40000 -> {words}")
assert floats == [0, 0, 1, 254] and words == [0, 232, 64]
EOF
venv/bin/python check.py
