"""Statistics of activations: sums, distributions, effective rank, and how they are drawn."""
