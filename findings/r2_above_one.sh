#!/usr/bin/env bash
# R2Score and ExplainedVariance of torchmetrics exceed 1, their greatest possible value, for targets far from zero:
# they keep float32 sums of squares and subtract these. Targets around 10,000 with a deviation of 1 (years in days,
# prices, heights) are enough; PearsonCorrCoef, which updates means, is right on the same data.
#
# Guess: right within 1e-4, the precision of float32. Whoever compares models by R2 on such targets compares rounding.
# Subtract the mean from targets and predictions first, or use `metric.set_dtype(torch.float64)` with float64 inputs.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   true R2 0.9899; R2Score 1.0008, ExplainedVariance 1.0013
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchmetrics import ExplainedVariance, R2Score

generator = torch.Generator().manual_seed(0)
targets = 10_000 + torch.randn(10_000, generator=generator)
predictions = targets + 0.1 * torch.randn(10_000, generator=generator)
exact, guessed = targets.double(), predictions.double()
true = 1 - ((guessed - exact) ** 2).sum() / ((exact - exact.mean()) ** 2).sum()
r2, explained = R2Score(), ExplainedVariance()
for start in range(0, 10_000, 100):
    r2.update(predictions[start : start + 100], targets[start : start + 100])
    explained.update(predictions[start : start + 100], targets[start : start + 100])
print(f"true R2 {true:.4f}; R2Score {r2.compute():.4f}, ExplainedVariance {explained.compute():.4f}")
assert true < 0.995 and r2.compute() > 1 and explained.compute() > 1
EOF
venv/bin/python check.py
