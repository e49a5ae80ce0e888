#!/usr/bin/env bash
# torchmetrics counts scores that are NaN as predictions. A network that has diverged to NaN keeps an accuracy: the
# share of the first class. In binary metrics one NaN changes the other samples of its batch as well: it makes the
# metric take the whole batch's probabilities for logits, whose sigmoid is above 0.5, so that all others count as
# positive.
#
# Guess: an error or NaN, as the loss gives, or at least that sample counted as wrong. Whoever monitors accuracy alone
# does not see that a run has died: with ten equal classes it reads 10 %, like chance.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   all scores NaN, 3 of 4 samples of class 0: accuracy 0.75
#   three right probabilities: accuracy 1.0; with one NaN beside them: 0.25
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

dead = torch.full((4, 3), float("nan"))
accuracy = MulticlassAccuracy(3, average="micro")(dead, torch.tensor([0, 0, 0, 2])).item()
print(f"all scores NaN, 3 of 4 samples of class 0: accuracy {accuracy}")
assert accuracy == 0.75

right = BinaryAccuracy()(torch.tensor([0.2, 0.1, 0.3]), torch.tensor([0, 0, 0])).item()
with_nan = BinaryAccuracy()(torch.tensor([0.2, 0.1, 0.3, float("nan")]), torch.tensor([0, 0, 0, 0])).item()
print(f"three right probabilities: accuracy {right}; with one NaN beside them: {with_nan}")
assert right == 1 and with_nan == 0.25
EOF
venv/bin/python check.py
