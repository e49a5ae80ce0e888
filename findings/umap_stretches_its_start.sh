#!/usr/bin/env bash
# UMAP stretches the layout that it is given to start from to a square from 0 to 10, each axis by a factor of its own:
# `init` says where points are relative to each other on each axis, not where they are.
#
# Guess: points start where `init` puts them. Whoever continues from the layout of the epoch before to have points move
# little (a film of an embedding) gets one that jumps and is distorted at each step, before any optimization.
#
# Seen with umap-learn==0.5.12, numpy==2.4.6 after one epoch of optimization:
#   extent of the start 96.4 x 5.0, of the layout 10.0 x 10.0, correlation of the first axis 1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'umap-learn==0.5.12' 'numpy==2.4.6' 'scikit-learn==1.9.1'
cd "$folder"
cat > check.py << 'EOF'
import warnings

import numpy as np
import umap

warnings.simplefilter("ignore")
random = np.random.default_rng(0)
values = random.normal(size=(200, 10)).astype(np.float32)
start = (random.normal(size=(200, 2)) * [20, 1]).astype(np.float32)
layout = umap.UMAP(init=start.copy(), n_epochs=1, random_state=0).fit_transform(values)
before, after = np.ptp(start, axis=0), np.ptp(layout, axis=0)
alike = np.corrcoef(start[:, 0], layout[:, 0])[0, 1]
print(
    f"extent of the start {before[0]:.1f} x {before[1]:.1f}, of the layout {after[0]:.1f} x {after[1]:.1f}, "
    f"correlation of the first axis {alike:.3f}"
)
assert before[0] > 10 * before[1] and np.allclose(after, 10, atol=0.5) and alike > 0.999
EOF
venv/bin/python check.py
