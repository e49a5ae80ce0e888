#!/usr/bin/env bash
# Images with a palette (GIF, many PNG files of icons, drawings and screenshots) come back from two formats for streamed
# training data without it: black as soon as they are converted to RGB. `litdata.optimize` does so with every such image,
# MosaicML's `MDSWriter` with its encoding "pil". Both keep size, mode and the colours' numbers, and leave the palette out
# without a word.
#
# Guess: an image that is stored without compression comes back as it was. It concerns whoever converts a folder of images
# of several kinds; masks whose indices are the classes are right. Convert to RGB before writing, or use MDS's "png".
#
# Seen with litdata==0.2.76, mosaicml-streaming==0.13.0, pillow==13.0.0:
#   written              mode P, as RGB: 200 30 30
#   litdata              mode P, as RGB: 0 0 0
#   MDS, encoding "pil"  mode P, as RGB: 0 0 0
#   MDS, encoding "png"  mode P, as RGB: 200 30 30
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'litdata==0.2.76' 'mosaicml-streaming==0.13.0' 'pillow==13.0.0' 'numpy==2.1.3' 'torch==2.14.1' 'torchvision==0.29.1'
cd "$folder"
cat > check.py << 'EOF'
import litdata
from PIL import Image
from streaming import MDSWriter, StreamingDataset


def image(number=0):
    """A square of one red, whose number in the palette is 1."""
    made = Image.new("P", (8, 8), 1)
    made.putpalette([0, 0, 0, 200, 30, 30])
    return made


def show(name, found):
    words = f"mode {found.mode}, as RGB: {' '.join(map(str, found.convert('RGB').getpixel((4, 4))))}"
    print(f"{name:20} {words}")
    return words


def mosaic(encoding):
    with MDSWriter(out=encoding, columns={"image": encoding}) as writer:
        writer.write({"image": image()})
    return StreamingDataset(local=encoding, batch_size=1)[0]["image"]


if __name__ == "__main__":
    right, wrong = "mode P, as RGB: 200 30 30", "mode P, as RGB: 0 0 0"
    assert show("written", image()) == right
    litdata.optimize(image, inputs=[0], output_dir="optimized", num_workers=1, chunk_bytes="1MB", start_method="spawn")
    assert show("litdata", litdata.StreamingDataset("optimized")[0]) == wrong
    assert show('MDS, encoding "pil"', mosaic("pil")) == wrong
    assert show('MDS, encoding "png"', mosaic("png")) == right
EOF
venv/bin/python check.py > output 2> errors || { cat output errors; exit 1; }
grep 'as RGB' output
