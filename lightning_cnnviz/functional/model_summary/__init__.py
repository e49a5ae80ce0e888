"""The layers of a model with shapes, parameters and multiply-adds, as a table and as a diagram."""
