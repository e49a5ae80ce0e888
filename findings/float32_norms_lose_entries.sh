#!/usr/bin/env bash
# On a CPU, norms and histograms of a large float32 tensor leave out most of it. PyTorch adds up in float32, where a
# sum that has grown large no longer takes small terms: with one thread the L1 norm of the 4096 x 25088 gradient of
# VGG-16's first linear layer comes out at a third, and `histc` never counts beyond 2^24 = 16,777,216 in one bin.
#
# Guess: the norm is right within 1e-4, as that of `x.abs().sum()`, which adds up in pairs; a histogram counts
# everything. Whoever logs gradient norms or histograms sees a layer's gradient shrink that did not. `x.abs().sum()`,
# or float64, gives the true value.
#
# Seen with torch==2.14.1, numpy==2.4.6:
#   L1 norm / true: vector_norm 0.319, _foreach_norm 0.319, abs().sum() 1.000
#   33,554,432 equal values: histc counts 16,777,216, histogram 16,777,216
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6'
cd "$folder"
cat > check.py << 'EOF'
import torch

torch.set_num_threads(1)
gradient = torch.full((4096, 25088), 1e-3)
true = gradient.double().sum()
norm = (torch.linalg.vector_norm(gradient, 1) / true).item()
foreach = (torch._foreach_norm([gradient], 1)[0] / true).item()
plain = (gradient.abs().sum() / true).item()
print(f"L1 norm / true: vector_norm {norm:.3f}, _foreach_norm {foreach:.3f}, abs().sum() {plain:.3f}")
assert norm < 0.5 and foreach < 0.5 and abs(plain - 1) < 1e-3

equal = torch.zeros(2**25)
histc = int(torch.histc(equal, bins=1, min=-1, max=1))
histogram = int(torch.histogram(equal, bins=1, range=(-1.0, 1.0)).hist)
print(f"{2**25:,} equal values: histc counts {histc:,}, histogram {histogram:,}")
assert histc == histogram == 2**24
EOF
venv/bin/python check.py
