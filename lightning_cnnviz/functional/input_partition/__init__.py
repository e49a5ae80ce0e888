"""Partition of the input plane by a network with two inputs into cells where the network is affine."""
