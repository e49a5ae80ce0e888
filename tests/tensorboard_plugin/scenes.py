"""Runs of each kind, by name: `python -m tensorboard_plugin.scenes FOLDER [NAME ...]`, from `tests`."""

import json
import sys
import time
from pathlib import Path

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from .synthetic_run import HOSTILE, write

VGG = [(f"features.{3 * n}", w, s, i) for n, (w, s, i) in enumerate(
    [(64, 28, 1), (64, 28, 64), (128, 14, 64), (128, 14, 128), (256, 7, 128), (256, 7, 256), (256, 7, 256),
     (512, 4, 256), (512, 4, 512), (512, 4, 512), (512, 2, 512), (512, 2, 512), (512, 2, 512)])]  # fmt: skip


def large(folder):
    """50 epochs, 13 layers, 5,000 projected points."""
    write(folder, epochs=50, layers=VGG, hidden=(), projected=[VGG[3][0], VGG[12][0]], samples=5000, shown=2).close()


def lenet(folder):
    write(folder).close()


def lenet_other(folder):
    write(folder, seed=7, epochs=9, steps_per_epoch=150).close()


def sparse(folder):
    """Projections at steps 400, 800 and 1,200, gradients at 300, 600 and 900 of 1,200."""
    write(folder, every={"projection": 4, "gradients": 3}, frozen=["conv2"], unmeasured=["fc1"]).close()


def mapped(folder):
    """With gradient maps."""
    write(folder, mapped=True).close()


def patched(folder):
    """With patches that excite channels."""
    write(folder, patches=True).close()


def plane(folder):
    """A model with two inputs."""
    write(folder, layers=(), hidden=(("layer1", 4), ("layer2", 4)), projected=(), classes=["inner", "outer"],
          partition=True).close()  # fmt: skip


def single(folder):
    write(folder, epochs=1).close()


def nan(folder):
    write(folder, epochs=4, spoil=True).close()


def hostile(folder):
    layers = [(name, 4, 14, 1) for name in HOSTILE]
    write(folder, epochs=3, layers=layers, hidden=(), projected=HOSTILE[:2], classes=HOSTILE, samples=120).close()


def thousand(folder):
    layers = [(f"encoder.blocks.{n}.mlp.fc", 64) for n in range(1000)]
    write(folder, epochs=5, layers=(), hidden=layers, projected=(), samples=10, linear=0, measured=False).close()


def truncated(folder):
    """The file ends in mid-record, as when a machine lost power."""
    write(folder, epochs=4, samples=50).close()
    path = next(Path(folder).glob("events*"))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])


def corrupt(folder):
    """Headers and payloads that do not hold what they should."""
    run = write(folder, epochs=2)
    broken = {"pieces": [b"{}"], "text": [b"\xff", b""], "none": [b"{}", b""], "long": [b'{"arrays": []}', b"x"]}
    for name, blobs in broken.items():
        run.add_blobs("kernels", f"cnnviz/kernels/{name}", 300, blobs, identity={"layer": name})
    short = json.dumps({"arrays": [{"name": "values", "dtype": "float32", "shape": [9]}]}).encode()
    run.add_blobs("kernels", "cnnviz/kernels/conv1", 300, [short, b"1234"], identity={"layer": "conv1"})
    run.close()


def foreign(folder):
    """From the future, beside series that are understood."""
    run = write(folder, epochs=2)
    run.add("kernels", "cnnviz/kernels/next", 100, schema=2)
    run.add("hologram", "cnnviz/hologram", 100)
    run.close()


def without(folder):
    """A run that has nothing of ours."""
    writer = EventFileWriter(str(folder))
    value = summary_pb2.Summary.Value(tag="loss", simple_value=1.0)
    writer.add_event(event_pb2.Event(step=1, wall_time=time.time(), summary=summary_pb2.Summary(value=[value])))
    writer.close()


EVERY = [
    large,
    lenet,
    lenet_other,
    sparse,
    mapped,
    plane,
    patched,
    single,
    nan,
    hostile,
    thousand,
    truncated,
    corrupt,
    foreign,
    without,
]
SCENES = {scene.__name__: scene for scene in EVERY}


if __name__ == "__main__":
    for name in sys.argv[2:] or SCENES:
        SCENES[name](Path(sys.argv[1], name))
