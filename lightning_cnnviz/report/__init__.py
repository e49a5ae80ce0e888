"""A run as one HTML file: the page of the CNN Viz tab with its data. Imports neither PyTorch nor Lightning."""
