#!/usr/bin/env bash
# `SummaryWriter.add_image` takes every dtype but uint8 for values between 0 and 1. A picture of 0 to 255 as int64,
# which is what arithmetic on pictures, label maps and `torch.randint` give, and one of uint16 come out black and
# white: all that is 1 or more is 255.
#
# Guess: integers are shown as they are, or refused. No error and no warning tells that the picture in TensorBoard is
# another one.
#
# Seen with torch==2.14.1, numpy==2.4.6, tensorboard==2.21.0, pillow==13.0.0, setuptools==80.9.0:
#   values 0, 1, 100, 200: uint8 [0, 1, 100, 200], int64 [0, 255, 255, 255], uint16 [0, 255, 255, 255]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'tensorboard==2.21.0' \
    'pillow==13.0.0' 'setuptools==80.9.0'
cd "$folder"
cat > check.py << 'EOF'
import io
import tempfile

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

folder = tempfile.mkdtemp()
with SummaryWriter(folder) as writer:
    for dtype in ("uint8", "int64", "uint16"):
        writer.add_image(dtype, np.array([[[0, 1, 100, 200]]], dtype))
reader = EventAccumulator(folder).Reload()
shown = {}
for dtype in reader.Tags()["images"]:
    picture = Image.open(io.BytesIO(reader.Images(dtype)[0].encoded_image_string))
    shown[dtype] = np.asarray(picture)[0, :, 0].tolist()
print("values 0, 1, 100, 200:", ", ".join(f"{dtype} {values}" for dtype, values in shown.items()))
assert shown["uint8"] == [0, 1, 100, 200] and shown["int64"] == shown["uint16"] == [0, 255, 255, 255]
EOF
venv/bin/python check.py
