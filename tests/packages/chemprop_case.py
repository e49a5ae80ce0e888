"""A message-passing network of chemprop: batches are named tuples that hold a graph of all their molecules."""

import numpy as np
from chemprop import data, models, nn

LIGHTNING = "lightning.pytorch"


def build():
    molecules = [f"{'C' * length}{end}" for length in range(1, 9) for end in ("O", "N", "Cl")]
    points = [data.MoleculeDatapoint.from_smi(one, np.array([float(len(one))])) for one in molecules]
    train, val = data.MoleculeDataset(points[::2]), data.MoleculeDataset(points[1::2])
    module = models.MPNN(
        nn.BondMessagePassing(d_h=16), nn.MeanAggregation(), nn.RegressionFFN(input_dim=16, hidden_dim=8)
    )
    return module, data.build_dataloader(train, 4, num_workers=0), data.build_dataloader(val, 4, shuffle=False)
