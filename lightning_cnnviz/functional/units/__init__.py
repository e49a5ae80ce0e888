"""Activation maximization: inputs that maximally excite the units of a layer."""
