#!/usr/bin/env bash
# Pillow leaves out a frame that equals the one before it, in APNG as in GIF, and lengthens that one's duration. A
# film of five steps, of which two pairs are equal, has three frames; one in which nothing changes is a plain picture,
# which `is_animated` denies and which has no `n_frames` of more than 1.
#
# Guess: as many frames as were saved. Whoever reads frame k as step k (a film of a training, one frame an epoch)
# reads another step's picture; the sum of the durations is kept.
#
# Seen with pillow==13.0.0, numpy==2.4.6:
#   saved 5, read 3; saved 4 equal ones, read 1, is_animated False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'pillow==13.0.0' 'numpy==2.4.6'
cd "$folder"
cat > check.py << 'EOF'
import io

import numpy as np
from PIL import Image


def read(values):
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in values]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=100)
    return Image.open(file)


film, still = read([0, 50, 50, 90, 90]), read([7, 7, 7, 7])
print(f"saved 5, read {film.n_frames}; saved 4 equal ones, read {still.n_frames}, is_animated {still.is_animated}")
assert film.n_frames == 3 and still.n_frames == 1 and not still.is_animated
EOF
venv/bin/python check.py
