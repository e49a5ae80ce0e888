#!/usr/bin/env bash
# A MetricCollection of torchmetrics joins metrics whose states are equal after the first batch, and from then on
# updates one of them for all. Metrics that differ (in their threshold, in ignore_index) but agree on the first batch
# by chance share one number for the rest of the epoch, that of one of them.
#
# Guess: groups are formed by what the metrics compute, so that each gives what it gives alone. Sure first batches, or
# first batches without an ignored label, are common. `compute_groups=False` makes all results right.
#
# Seen with torch==2.14.1, numpy==2.4.6, torchmetrics==1.9.0:
#   threshold 0.5: alone 1.0, in a collection 0.5
#   threshold 0.9: alone 0.5, in a collection 0.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'torch==2.14.1' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
cat > check.py << 'EOF'
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy

batches = [([0.95, 0.05], [1, 0]), ([0.7, 0.7], [1, 1])]
thresholds = {"low": 0.5, "high": 0.9}
alone = {name: BinaryAccuracy(threshold=threshold) for name, threshold in thresholds.items()}
together = MetricCollection({name: BinaryAccuracy(threshold=threshold) for name, threshold in thresholds.items()})
for scores, classes in batches:
    together.update(torch.tensor(scores), torch.tensor(classes))
    for metric in alone.values():
        metric.update(torch.tensor(scores), torch.tensor(classes))
joined = {name: value.item() for name, value in together.compute().items()}
each = {name: metric.compute().item() for name, metric in alone.items()}
for name, threshold in thresholds.items():
    print(f"threshold {threshold}: alone {each[name]}, in a collection {joined[name]}")
assert each == {"low": 1.0, "high": 0.5} and joined == {"low": 0.5, "high": 0.5}
EOF
venv/bin/python check.py
