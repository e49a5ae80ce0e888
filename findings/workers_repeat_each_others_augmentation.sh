#!/usr/bin/env bash
# An albumentations pipeline has a random generator of its own, made with the pipeline. Workers that a DataLoader
# forks each start with a copy of it: with two workers every draw is used twice, and since new workers are forked for
# each epoch, every epoch sees the very same augmentation. Seeds of PyTorch, NumPy and `random` do not reach it.
#
# Guess: each worker and each epoch draws anew, as with transforms that use PyTorch's generator, or NumPy's under
# Lightning's `seed_everything(workers=True)`. The network sees each sample in one form only. Give the pipeline a seed
# in `worker_init_fn` (`set_random_seed`).
#
# Seen with torch==2.14.1, numpy==2.4.6, albumentations==2.0.8, albucore==0.0.24, opencv-python-headless==5.0.0.93:
#   draws of two workers over an epoch of 8: 4 different ones; second epoch the same as the first: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'albumentations==2.0.8' \
    'albucore==0.0.24' 'opencv-python-headless==5.0.0.93'
cd "$folder"
cat > check.py << 'EOF'
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import albumentations


class Pictures(Dataset):
    def __init__(self):
        self.augment = albumentations.Compose([albumentations.Affine(rotate=(-90, 90), p=1.0)])
        self.picture = np.zeros((32, 32, 3), np.uint8)
        self.picture[2:6, 3:20] = 255

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.augment(image=self.picture)["image"].tobytes()


if __name__ == "__main__":
    torch.manual_seed(0)
    options = {"batch_size": 1, "num_workers": 2, "multiprocessing_context": "fork"}
    loader = DataLoader(Pictures(), **options)
    first, second = [batch[0] for batch in loader], [batch[0] for batch in loader]
    same = first == second
    print(f"draws of two workers over an epoch of 8: {len(set(first))} different ones; ", end="")
    print(f"second epoch the same as the first: {same}")
    assert len(set(first)) == 4 and same
EOF
venv/bin/python check.py
