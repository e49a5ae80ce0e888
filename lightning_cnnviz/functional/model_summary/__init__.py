"""Summary of a model's layers (shapes, parameters, multiply-adds) as a table and as a diagram."""
