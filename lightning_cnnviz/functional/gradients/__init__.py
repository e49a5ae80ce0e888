"""Statistics of gradients, and their charts."""
