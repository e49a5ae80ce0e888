"""Data for the CNN Viz tab in TensorBoard."""
