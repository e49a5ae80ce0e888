"""Points in many dimensions to lay out."""

import numpy as np


def blobs(classes=4, each=25, dimensions=30, seed=0):
    """Classes that lie far apart, and their numbers."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, dimensions)) * 20
    labels = np.repeat(np.arange(classes), each)
    return (centres[labels] + rng.normal(size=(len(labels), dimensions))).astype(np.float32), labels


def structured(samples=600):
    """Clusters of many sizes, and samples between them, as in a layer of a network."""
    rng = np.random.default_rng(0)
    centres, nearness = rng.normal(size=(12, 40)) * 3, rng.dirichlet(np.full(12, 0.15), samples)
    return (nearness @ centres + rng.normal(size=(samples, 40)) * 0.5).astype(np.float32)
