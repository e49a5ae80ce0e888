"""Batches, datasets, class scores and the probe."""
