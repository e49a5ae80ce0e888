"""A t-SNE refresh of ours against scikit-learn's from scratch.

Trains the FashionMNIST CNN for two epochs and lays out what its last pooling (1,568 features) makes of 5,000 test
images: ours goes on from the layout of the first epoch, on one thread; scikit-learn begins anew as it does by
default. Both in turn, so that whatever else the machine does hits both alike.
"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from benchmarks.rows import Row
from benchmarks.settings import Settings
from lightning_cnnviz.functional.projection.layout import principal_components, project
from lightning_cnnviz.functional.projection.procrustes import movement
from recipes.data import FashionMNIST
from recipes.fashion_cnn import FashionCNN


class Features(NamedTuple):
    """Activations of the same samples after one and after two epochs, shape (samples, features), and classes."""

    before: np.ndarray
    after: np.ndarray
    labels: np.ndarray


def features_of_two_epochs(samples: int, batches: int | None = None) -> Features:
    """Trains the FashionMNIST CNN for two epochs, of all batches or the first ones."""
    torch.manual_seed(0)
    data = FashionMNIST(batch_size=64)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    shown = torch.utils.data.Subset(data.test_dataloader().dataset, range(samples))
    images, labels = next(iter(torch.utils.data.DataLoader(shown, batch_size=samples)))
    model = FashionCNN()
    optimizer = torch.optim.Adam(model.parameters())
    found = []
    for _ in range(2):
        model.train()
        for number, (inputs, targets) in enumerate(data.train_dataloader()):
            if number == batches:
                break
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            first = model.pool1(model.relu1(model.conv1(images)))
            found.append(model.pool2(model.relu2(model.conv2(first))).flatten(1).numpy())
    return Features(*found, labels.numpy())


def compare(features: Features, rounds: int = 3) -> dict[str, Any]:
    """Seconds and trustworthiness of a refresh by both, measured in turn.

    Returns:
        `seconds`, `trustworthiness` (lists by name), `ratio` (ours / scikit-learn), `movement` of points whose
        features did not change, `first` (seconds of our first layout).
    """
    names = ("ours", "scikit-learn")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    trust: dict[str, list[float]] = {name: [] for name in names}
    components = principal_components(features.before)
    start = time.perf_counter()
    with threadpool_limits(1):  # as in the helper process
        first = project(components)
    taken_first = time.perf_counter() - start
    for number in range(rounds):
        for name in names[:: -1 if number % 2 else 1]:
            start = time.perf_counter()
            if name == "ours":
                with threadpool_limits(1):
                    points = project(principal_components(features.after), init=first.points).points
            else:
                points = TSNE(random_state=number).fit_transform(features.after)
            seconds[name].append(time.perf_counter() - start)
            trust[name].append(float(trustworthiness(features.after, points)))
    again = project(components, init=first.points)
    return {
        "seconds": seconds,
        "ratio": [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)],
        "trustworthiness": trust,
        "movement": movement(again.points, first.points),
        "first": taken_first,
    }


def rows(settings: Settings) -> Iterator[Row]:
    """Time, trustworthiness and movement of a refresh."""
    samples, batches, rounds = (500, 20, 1) if settings.quick else (5000, None, 3)
    figures = compare(features_of_two_epochs(samples, batches), rounds)
    ratios, seconds = figures["ratio"], figures["seconds"]
    ours, theirs = (median(values) for values in seconds.values())
    yield Row(
        f"t-SNE refresh of {samples:,} points, ours / scikit-learn",
        median(ratios),
        "× scikit-learn",
        (min(ratios), max(ratios)),
        at_most=0.1,
        note=f"{ours:.1f} s / {theirs:.1f} s, our first layout {figures['first']:.1f} s",
        samples={name.replace("-", "_"): values for name, values in seconds.items()},
    )
    trust = figures["trustworthiness"]
    ours, theirs = (median(values) for values in trust.values())
    yield Row(
        "trustworthiness lost by the refresh",
        theirs - ours,
        "less than scikit-learn",
        at_most=0.005,
        note=f"{ours:.4f} / {theirs:.4f}",
        samples={f"trustworthiness {name}": values for name, values in trust.items()},
    )
    yield Row(
        "median movement of points whose features did not change",
        figures["movement"],
        "σ of the layout",
        at_most=0.02,
    )
