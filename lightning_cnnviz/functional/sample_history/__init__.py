"""The life of every sample over training: how surely, since when and how often a network got its class right."""
