"""Slow and obvious computations to compare with."""

import numpy as np


def nearest_agree(points, labels, k):
    """By brute force in float64: each sample's nearest others, counted one by one."""
    points = np.asarray(points, dtype=np.float64)
    right = 0
    for index, point in enumerate(points):
        distances = [
            (float(((other - point) ** 2).sum()), place) for place, other in enumerate(points) if place != index
        ]
        votes = {}
        for _, place in sorted(distances)[:k]:
            votes[labels[place]] = votes.get(labels[place], 0) + 1
        most = max(votes.values())
        right += min(label for label, count in votes.items() if count == most) == labels[index]
    return right / len(points)
