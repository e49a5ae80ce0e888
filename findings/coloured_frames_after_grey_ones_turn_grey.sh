#!/usr/bin/env bash
# A GIF whose first frame is a picture of 256 greys and whose second has colours is read wrongly by Pillow, which wrote it:
# the second frame comes back with the numbers of its colours as greys. FFmpeg reads both frames as they were.
# There is no error and no warning.
#
# Guess: Pillow reads its own lossless GIF as it was. It concerns films of kernels or feature maps that begin in grey, and
# data sets of GIFs. Write the film as APNG, give the first frame to Pillow as RGB, or read with another library.
#
# Seen with pillow==13.0.0, av==18.1.0:
#   written  first frame grey 0…255, second frame 200 30 30
#   Pillow   first frame grey 0…255, second frame mode P, as RGB: 0 0 0
#   FFmpeg   first frame grey 0…255, second frame 200 30 30
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pillow==13.0.0' 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
cat > check.py << 'EOF'
import av
import numpy as np
from PIL import Image

greys = np.arange(256, dtype=np.uint8).reshape(16, 16)
red = Image.new("RGB", (16, 16), (200, 30, 30))
Image.fromarray(greys).save("film.gif", save_all=True, append_images=[red])


def show(name, first, second, mode=""):
    assert np.array_equal(first, np.stack([greys] * 3, axis=-1))
    print(f"{name:8} first frame grey 0…255, second frame {mode}{' '.join(map(str, second[8, 8].tolist()))}")
    return second[8, 8].tolist()


assert show("written", np.stack([greys] * 3, axis=-1), np.asarray(red)) == [200, 30, 30]
with Image.open("film.gif") as film:
    first = np.asarray(film.convert("RGB"))
    film.seek(1)
    assert show("Pillow", first, np.asarray(film.convert("RGB")), f"mode {film.mode}, as RGB: ") == [0, 0, 0]
with av.open("film.gif") as film:
    assert show("FFmpeg", *(frame.to_ndarray(format="rgb24") for frame in film.decode(video=0))) == [200, 30, 30]
EOF
venv/bin/python check.py
