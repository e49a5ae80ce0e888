#!/usr/bin/env bash
# One step of Adam on float16 weights makes NaN of every weight whose gradient is zero, and minus infinity of one whose
# gradient is 0.0001, though all gradients are finite: eps=1e-8 and the square of a small gradient are zero in float16.
# `fused=True`, the same algorithm, computes in float32 inside and is right. `foreach` (what PyTorch chooses by itself
# on a GPU) and the plain loop (on a CPU) both fail. Adamax makes NaN of a zero gradient only.
#
# Guess: small gradients are lost in float16, so that a weight with a zero gradient stays as it is, and the three
# implementations of one optimizer agree. It concerns Lightning's precision="16-true": one dead unit is enough. Choose
# "16-mixed" or "bf16-true", or give fused=True or eps=1e-4.
#
# Seen with torch==2.14.1, numpy==2.4.6 (weights of 1; gradients of 1, 0 and 0.0001; one step of 0.001):
#   Adam, foreach=False  0.999023, nan, -inf
#   Adam, foreach=True   0.999023, nan, -inf
#   Adam, fused=True     0.999023, 1, 0.999023
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6'
cd "$folder"
cat > check.py << 'EOF'
import math

import torch

GRADIENT = [1.0, 0.0, 1e-4]


def after_one_step(**options):
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float16))
    optimizer = torch.optim.Adam([weight], lr=1e-3, **options)
    weight.grad = torch.tensor(GRADIENT, dtype=torch.float16)
    optimizer.step()
    return weight.tolist()


for options in ({"foreach": False}, {"foreach": True}, {"fused": True}):
    weights = after_one_step(**options)
    name = ", ".join(f"{key}={value}" for key, value in options.items())
    print(f"Adam, {name:<14} {', '.join(f'{weight:g}' for weight in weights)}")
    if "fused" in options:
        assert weights[1] == 1 and 0.99 < weights[2] < 1
    else:
        assert math.isnan(weights[1]) and weights[2] == -math.inf
EOF
venv/bin/python check.py
