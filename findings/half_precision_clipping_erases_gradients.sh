#!/usr/bin/env bash
# `clip_grad_norm_` on float16 gradients sets all of them to zero as soon as their norm exceeds 65,504, though every
# entry is small. The norm is returned in float16, where it is infinite, and the gradients are divided by it. There is
# no error and no warning; the step is taken with a gradient of zero (Adam then moves by its momentum alone).
#
# Guess: the norm is computed in float32, and the gradients are scaled to the norm asked for. It concerns whoever
# trains weights in float16 (Lightning's precision="16-true") with gradient clipping. `error_if_nonfinite=True` makes
# it an error.
#
# Seen with torch==2.14.1, numpy==2.4.6:
#   true norm 100,000; returned inf; norm after clipping to 1.0: 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6'
cd "$folder"
cat > check.py << 'EOF'
import torch

weight = torch.nn.Parameter(torch.zeros(1_000_000, dtype=torch.float16))
weight.grad = torch.full_like(weight, 100.0)
true = weight.grad.double().norm().item()
returned = torch.nn.utils.clip_grad_norm_([weight], max_norm=1.0).item()
after = weight.grad.double().norm().item()
print(f"true norm {true:,.0f}; returned {returned}; norm after clipping to 1.0: {after}")
assert returned == float("inf") and after == 0
EOF
venv/bin/python check.py
