#!/usr/bin/env bash
# Given two plain tensors, torchvision's v2 transforms change the first and hand back the second as it was, in a tuple
# as well as in a dictionary. An image and its mask, or two views of one scene, no longer fit after a flip.
#
# Guess: both are flipped, since plain tensors count as images. Only wrapping them (`tv_tensors.Image`,
# `tv_tensors.Mask`) makes both go along. Segmentation trained on such pairs gets worse and gives no error.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchvision==0.29.1, pillow==13.0.0:
#   image [0, 1, 2] -> [2, 1, 0], mask [0, 1, 2] -> [0, 1, 2]; as tv_tensors.Mask -> [2, 1, 0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchvision==0.29.1' 'pillow==13.0.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

flip = v2.RandomHorizontalFlip(p=1.0)
image, mask = torch.tensor([[[0.0, 1.0, 2.0]]]), torch.tensor([[[0, 1, 2]]])
flipped = flip({"image": image, "mask": mask})
pair = flip(tv_tensors.Image(image), tv_tensors.Mask(mask))
shown = [flipped["image"].flatten().int().tolist(), flipped["mask"].flatten().tolist(), pair[1].flatten().tolist()]
print(f"image [0, 1, 2] -> {shown[0]}, mask [0, 1, 2] -> {shown[1]}; as tv_tensors.Mask -> {shown[2]}")
assert shown == [[2, 1, 0], [0, 1, 2], [2, 1, 0]]
EOF
venv/bin/python check.py
