"""The CNN Viz tab of TensorBoard. Imports neither PyTorch, Lightning nor matplotlib."""
