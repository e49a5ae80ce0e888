"""A t-SNE refresh of ours against scikit-learn's from scratch: `python -m benchmarks.projection`.

Trains the FashionMNIST CNN for two epochs and lays out what its last pooling (1,568 features) makes of 5,000 test
images: ours goes on from the layout of the first epoch, on one thread; scikit-learn begins anew as it does by
default. Both in turn, so that whatever else the machine does hits both alike.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.manifold import trustworthiness as reference_trustworthiness
from threadpoolctl import threadpool_limits

from lightning_cnnviz.functional.alignment import movement
from lightning_cnnviz.functional.neighbours import nearest_neighbours
from lightning_cnnviz.functional.projection import principal_components, project
from lightning_cnnviz.functional.projection_chart import projection_chart
from lightning_cnnviz.functional.projection_numbers import measure
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


def compare(features: Features, rounds: int = 3) -> dict[str, object]:
    """Seconds and trustworthiness of a refresh by both, measured in turn.

    Returns:
        `seconds`, `cpu_seconds` (of all threads), `trustworthiness` (lists by name), `ratio`, `cpu_ratio` (lists,
        ours / scikit-learn; on a busy machine the second says more), `parts` (seconds of the parts of a refresh, on
        one thread, and of its picture), `movement` of points whose features did not change, `first` (seconds of our
        first layout).
    """
    names = ("ours", "scikit-learn")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    trust: dict[str, list[float]] = {name: [] for name in names}
    components = principal_components(features.before)
    start = time.perf_counter()
    first = project(components)
    taken_first = time.perf_counter() - start
    for number in range(rounds):
        for name in names[:: -1 if number % 2 else 1]:
            start, start_cpu = time.perf_counter(), time.process_time()
            if name == "ours":
                with threadpool_limits(1):  # as in the helper process
                    points = project(principal_components(features.after), init=first.points).points
            else:
                points = TSNE(random_state=number).fit_transform(features.after)
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
            trust[name].append(float(reference_trustworthiness(features.after, points)))
    again = project(components, init=first.points)
    with threadpool_limits(1):
        taken = parts(features, first.points)
    return {
        "samples": len(features.after),
        "features": features.after.shape[1],
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "ratio": [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)],
        "cpu_seconds": cpu,
        "cpu_ratio": [ours / theirs for ours, theirs in zip(*cpu.values(), strict=True)],
        "trustworthiness": trust,
        "movement": movement(again.points, first.points),
        "first": taken_first,
        "parts": taken,
    }


def parts(features: Features, last: np.ndarray) -> dict[str, float]:
    """Seconds of each part of a refresh and of what comes after it."""
    taken = {}

    def timed(name, make):
        start = time.perf_counter()
        made = make()
        taken[name] = time.perf_counter() - start
        return made

    components = timed("principal components", lambda: principal_components(features.after))
    timed("neighbours (in the layout below)", lambda: nearest_neighbours(components, 90))
    layout = timed("layout", lambda: project(components, init=last))
    numbers = timed("numbers", lambda: measure(layout, features.labels, values=components, last=last))
    classes = [str(number) for number in range(10)]
    timed("picture", lambda: projection_chart(layout, features.labels, classes, method="tsne", numbers=numbers))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured (default: 3)")
    parser.add_argument("--samples", type=int, default=5000, help="points in the layout (default: 5000)")
    parser.add_argument("--batches", type=int, help="training batches in an epoch (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    figures = compare(features_of_two_epochs(arguments.samples, arguments.batches), arguments.rounds)
    print(f"{figures['samples']} samples × {figures['features']} features, {arguments.rounds} rounds")
    print(f"{'':<16}{'seconds':>9}{'CPU seconds':>13}{'trustworthiness':>17}")
    for name, values in figures["seconds"].items():
        cpu, middle = (statistics.median(figures[key][name]) for key in ("cpu_seconds", "trustworthiness"))
        print(f"{name:<16}{statistics.median(values):>9.2f}{cpu:>13.2f}{middle:>17.4f}")
    ratios = (statistics.median(figures[key]) for key in ("ratio", "cpu_ratio"))
    print(f"{'ratio':<16}{next(ratios):>9.3f}{next(ratios):>13.3f}   (at most 0.1)")
    print(f"median movement without a change: {figures['movement']:.4f} of the layout's deviation (at most 0.02)")
    print(f"our first layout takes {figures['first']:.1f} s")
    for name, value in figures["parts"].items():
        print(f"  {name:<34}{value:>7.3f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
