"""The CNN Viz tab of TensorBoard. Loads neither PyTorch nor Lightning nor matplotlib."""
