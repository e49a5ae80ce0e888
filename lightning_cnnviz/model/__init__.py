"""Inspecting a network: layers, hooks, activations and execution traces. Nothing here draws."""
