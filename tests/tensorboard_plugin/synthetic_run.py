"""Run folders with the tab's data, written without PyTorch."""

import io
import json
import re
import struct
import weakref
from functools import cache
from pathlib import Path

import google_crc32c
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.util import tensor_util

CLASSES = ["circle", "ring", "square", "frame", "cross", "plus", "bar", "pillar", "slash", "checker"]
STATISTICS = ["mean_abs", "max_abs", "norm", "zero_share", "non_finite", "update_ratio"]
SIDE = 28
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "a/b//c",
    'it\'s "quoted" & <b>bold</b>',
    "🦊 Füchse",
    "</script><script>alert(2)</script>",
    "../../etc",
]


class Run:
    """Writes series as the callbacks do, each record to the disk at once."""

    def __init__(self, folder, start=1_700_000_000.0):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.path, self.time = Path(folder) / f"events.out.tfevents.{start:.0f}.synthetic", start
        self.file = self.path.open("ab", buffering=0)
        weakref.finalize(self, self.file.close)
        self.event(file_version="brain.Event:2")

    def event(self, **fields):
        self.time += 1
        self.file.write(record(event_pb2.Event(wall_time=self.time, **fields).SerializeToString()))

    def add(self, kind, tag, step, arrays=(), schema=1, identity=None, **info):
        described = [{"name": n, "dtype": a.dtype.name, "shape": list(a.shape)} for n, a in dict(arrays).items()]
        header = json.dumps({"arrays": described, **info}).encode()
        payload = b"".join(np.ascontiguousarray(a).tobytes() for a in dict(arrays).values())
        self.add_blobs(kind, tag, step, [header, payload], schema, identity)

    def add_blobs(self, kind, tag, step, blobs, schema=1, identity=None, content=None):
        # TensorBoard's data server cannot read tags that need escapes in JSON; the true name is in the identity.
        tag = re.sub(r'["\\\x00-\x1f%]', lambda sign: f"%{ord(sign[0]):02X}", tag)
        content = content or json.dumps({"schema": schema, "kind": kind, **(identity or {})}).encode()
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING,
            string_val=blobs,
            tensor_shape=tensor_shape_pb2.TensorShapeProto(
                dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=len(blobs))]
            ),
        )
        metadata = summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="cnnviz", content=content),
            data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
        )
        value = summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        self.event(step=step, summary=summary_pb2.Summary(value=[value]))

    def close(self):
        self.file.close()


def record(data):
    """A record as it stands in an event file."""
    length = struct.pack("<Q", len(data))
    crcs = [google_crc32c.value(part) for part in (length, data)]
    first, second = (struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF) for crc in crcs)
    return length + first + data + second


@cache
def read(folder, tag, step):
    """The arrays of a record by name, and its metadata as `info`, read without any code of the package."""
    for event in EventFileLoader(str(next(Path(folder).glob("events*")))).Load():
        for value in event.summary.value:
            if value.tag == tag and event.step == step:
                header, payload = tensor_util.make_ndarray(value.tensor)
                info, at, arrays = json.loads(header), 0, {}
                for one in info.pop("arrays"):
                    count = int(np.prod(one["shape"]))
                    arrays[one["name"]] = np.frombuffer(payload, one["dtype"], count, at).reshape(one["shape"])
                    at += arrays[one["name"]].nbytes
                return {**arrays, "info": info}
    raise AssertionError(f"{tag} was not written at step {step}")


def camera(folder, tag, steps, width, height):
    """A function from points to pixels of a plot in which the layouts of all steps have room."""
    points = np.concatenate([read(folder, tag, step)["points"] for step in steps])
    low, high = points.min(0), points.max(0)
    scale = min((width - 52) / (high - low)[0], (height - 52) / (high - low)[1])
    return lambda some: (some - (low + high) / 2) * scale * [1, -1] + [width / 2, height / 2]


def pictures(targets, rng):
    """A shape for each class, shifted and noisy: n × 28 × 28, 0…1."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    shift = rng.normal(0, 0.12, (len(targets), 2, 1, 1))
    scale = rng.uniform(0.8, 1.2, (len(targets), 1, 1))
    y, x = (y - shift[:, 0]) / scale, (x - shift[:, 1]) / scale
    radius, box = np.hypot(x, y), np.maximum(abs(x), abs(y))
    shapes = [
        radius < 0.6, abs(radius - 0.5) < 0.14, box < 0.5, abs(box - 0.5) < 0.13,
        (abs(abs(x) - abs(y)) < 0.16) & (box < 0.7), ((abs(x) < 0.14) | (abs(y) < 0.14)) & (box < 0.7),
        (abs(y) < 0.18) & (abs(x) < 0.75), (abs(x) < 0.18) & (abs(y) < 0.75), (abs(x + y) < 0.25) & (box < 0.7),
        (np.sin(7 * x) * np.sin(7 * y) > 0.1) & (box < 0.75),
    ]  # fmt: skip
    chosen = np.select([(targets % len(shapes) == k)[:, None, None] for k in range(len(shapes))], shapes)
    return np.clip(chosen * 0.9 + rng.normal(0, 0.06, chosen.shape), 0, 1)


def layout(targets, share, classes, rng):
    """Points that part into their classes as `share` goes from 0 to 1, the same noise at every call."""
    angle = 2 * np.pi * np.arange(classes) / max(classes, 1)
    middle = np.stack([np.cos(angle), np.sin(angle)], 1) * (12 + 4 * (np.arange(classes) % 2))[:, None]
    noise = rng.normal(0, 1, (len(targets), 2))
    near = middle[targets] + noise * [2.2, 1.6]
    return ((1 - share) * noise * 7 + share * near).astype(np.float32)


def write(
    folder,
    *,
    epochs=12,
    steps_per_epoch=100,
    layers=(("conv1", 6, 28, 1), ("conv2", 16, 10, 6)),
    hidden=(("fc1", 120), ("fc2", 84)),
    projected=("fc1", "fc2"),
    samples=600,
    shown=6,
    classes=CLASSES,
    seed=0,
    spoil=False,
    epoch_list=None,
    run=None,
    partition=False,
    patches=False,
    every=None,
    frozen=(),
    unmeasured=(),
    linear=1,
    measured=True,
    dying=True,
    mapped=False,
):
    """A run as a CNN would write it.

    `spoil` makes every number NaN; `every` tells of some kinds that only every n-th epoch has them; layers that are
    `frozen` have no gradient, those that are `unmeasured` are not among the gradients. The weights and activations of
    the first `linear` of the hidden layers are there, and if `measured` statistics of activations, with counts of dead
    units if these are `dying`. If it is `mapped`, these and the convolutions have gradient maps, at each step of four
    other samples.
    """
    rng = np.random.default_rng(seed)
    run = run or Run(folder)
    targets = rng.integers(0, len(classes), samples).astype(np.int32)
    images = pictures(targets, rng)
    noise = np.random.default_rng(seed + 1)
    first = {name: noise.normal(0, 1, (min(width, 32), 5, 5)) for name, width, *_ in layers}
    names = [name for name, *_ in (*layers, *hidden)]
    shapes = [[w, s, s] for _, w, s, _ in layers] + [[w] for _, w in hidden]
    kinds = ["Conv2d"] * len(layers) + ["Linear"] * len(hidden)
    weights = [25 * w * i + w for _, w, _, i in layers] + [w * 400 + w for _, w in hidden]
    bad = (lambda array: np.full_like(array, np.nan)) if spoil else (lambda array: array)
    for epoch in range(1, epochs + 1) if epoch_list is None else epoch_list:
        due = {kind: epoch % number == 0 for kind, number in (every or {}).items()}
        step, share = epoch * steps_per_epoch, 1 - np.exp(-epoch / epochs * 3)
        if epoch == 1:
            described = [
                {"name": n, "kind": k, "shape": s, "parameters": p, "trainable": True}
                for n, k, s, p in zip(names, kinds, shapes, weights, strict=True)
            ]
            run.add("model", "cnnviz/model", step, name="Net", input_shape=[1, SIDE, SIDE], layers=described,
                    classes=list(classes))  # fmt: skip
            thumbnails = np.repeat((images * 255).astype(np.uint8)[..., None], 3, axis=-1)
            run.add("samples", "cnnviz/samples", step, {"targets": targets, "thumbnails": thumbnails},
                    classes=list(classes))  # fmt: skip
        each = np.random.default_rng(1000 * seed + epoch)
        value = (lambda number: None) if spoil else float
        points = {
            name: [[epoch, step, value(level + each.normal(0, 0.015))]]
            for name, level in {
                "loss/train": 2.3 * (1 - share) + 0.05, "loss/val": 2.2 * (1 - share) + 0.17 + 0.05 * share**6,
                "accuracy/train": 0.1 + 0.88 * share, "accuracy/val": 0.1 + 0.84 * share,
            }.items()
        }  # fmt: skip
        run.add("curves", "cnnviz/curves", step, points=points)
        depth = np.linspace(1, 0, len(names))
        level = 10 ** (-1.5 - 3 * depth * (0.4 + 0.6 * share) + each.normal(0, 0.12, len(names)))
        table = np.stack(
            [level, level * 30, level * 55, 0.1 + 0.3 * depth * share, 0 * level, level / 40], axis=1
        ).astype(np.float32)
        health = ["non-finite" if spoil else "vanishing" if row < 10**-4.4 else "ok" for row in level]
        for row in map(names.index, frozen):
            table[row], health[row] = np.nan, "none"
        rows = [row for row, name in enumerate(names) if name not in unmeasured]
        if due.get("gradients", True):
            run.add("gradients", "cnnviz/gradients", step, {"values": bad(table[rows])}, statistics=STATISTICS,
                    layers=[names[row] for row in rows], health=[health[row] for row in rows])  # fmt: skip
        y, x = np.mgrid[-2:3, -2:3]
        wrong = each.random(samples) > 0.1 + 0.84 * share
        predicted = np.where(wrong, each.integers(0, len(classes), samples), targets).astype(np.int16)
        some = list(range(min(shown, samples)))
        for name, width in [(name, width) for name, width, *_ in layers] + list(hidden) if measured else ():
            _add_activations(run, name, width, step, share, spoil, dying)
        drawn = np.random.default_rng([seed, epoch])
        batch = drawn.integers(0, len(classes), 4).astype(np.int32)
        for number, (name, width, size, _) in enumerate(layers):
            channels = list(range(min(width, 32)))
            turn = np.array(channels)[:, None, None] * 2.4 + number
            gabor = np.cos((x * np.cos(turn) + y * np.sin(turn)) * 1.3) * np.exp(-(x**2 + y**2) / 6)
            kernels = (0.25 * (1 - share) * first[name] + share * gabor * (0.5 + 0.5 * np.cos(turn))).astype(
                np.float16
            )
            low, high = kernels.min((1, 2)).astype(np.float32), kernels.max((1, 2)).astype(np.float32)
            run.add("kernels", f"cnnviz/kernels/{name}", step,
                    {"values": bad(kernels), "low": bad(low), "high": bad(high)},
                    identity={"layer": name}, layer=name, channels=channels, mode="mean")  # fmt: skip
            maps = _maps(images[some], kernels.astype(float), size)
            for kind, values in (("feature_maps", np.maximum(maps, 0)), ("filter_response", maps)):
                if kind == "filter_response" and number > 0:
                    continue
                run.add(kind, f"cnnviz/{kind}/{name}", step, _quantised(values, bad), identity={"layer": name},
                        layer=name, channels=channels, samples=some, predicted=predicted[some].tolist())  # fmt: skip
            if mapped:
                maps = np.maximum(_maps(pictures(batch, drawn), kernels.astype(float), size), 0)
                arrays = _with_gradients(maps, drawn, batch, bad)
                run.add("gradient_maps", f"cnnviz/gradient_maps/{name}", step, arrays, identity={"layer": name},
                        layer=name, channels=channels, samples=[0, 1, 2, 3], predicted=[1, 2, 3, 4])  # fmt: skip
        for name, width in hidden[:linear]:
            own = np.random.default_rng([seed, width])
            start, end = own.normal(0, 0.1, (2, width, 40))
            matrix = ((1 - share) * start + share * 3 * end).astype(np.float16)
            low, high = (matrix.min(1) - 0.01).astype(np.float32), (matrix.max(1) + 0.01).astype(np.float32)
            run.add("weights", f"cnnviz/weights/{name}", step,
                    {"values": bad(matrix), "low": bad(low), "high": bad(high)}, identity={"layer": name}, layer=name,
                    channels=list(range(width)), shape=[width, 40], block=[1, 1],
                    range=[float(matrix.min()), float(matrix.max())])  # fmt: skip
            units = (own.normal(0, 1, (len(some), width)) * share)[..., None, None]
            run.add("feature_maps", f"cnnviz/feature_maps/{name}", step, _quantised(units, bad), samples=some,
                    identity={"layer": name}, layer=name, channels=list(range(width)),
                    predicted=predicted[some].tolist())  # fmt: skip
            if mapped:
                units = drawn.normal(0, 1, (4, width, 1, 1))
                arrays = _with_gradients(units, drawn, batch, bad)
                run.add("gradient_maps", f"cnnviz/gradient_maps/{name}", step, arrays, identity={"layer": name},
                        layer=name, channels=list(range(width)), samples=[0, 1, 2, 3],
                        predicted=[1, 2, 3, 4])  # fmt: skip
        for number, name in enumerate(projected if due.get("projection", True) else ()):
            for method in ("tsne", "pca"):
                own = np.random.default_rng([seed, number, len(method)])
                apart = share * (0.5 + 0.5 * number / max(len(projected) - 1, 1)) * (1 if method == "tsne" else 0.6)
                points = bad(layout(targets, apart, len(classes), own))
                finite = points[np.isfinite(points).all(axis=1)]
                bounds = np.stack([finite.min(axis=0), finite.max(axis=0)]) if len(finite) else np.full((2, 2), np.nan)
                run.add("projection", f"cnnviz/projection/{name}/{method}", step,
                        {"points": points, "predicted": predicted, "bounds": bounds.astype(np.float32)},
                        identity={"layer": name, "method": method}, layer=name, method=method,
                        origin="anew",
                        numbers={"knn_accuracy": value(0.1 + 0.85 * apart), "trustworthiness": value(0.98),
                                 "knn_neighbours": 10},
                        )  # fmt: skip
        if patches:
            for number, name in enumerate(names[:2]):
                run.add("patches", f"cnnviz/patches/{name}", step, {"png": _cells(share, "patches", "x" * number)},
                        identity={"layer": name}, layer=name, width=360, height=360)  # fmt: skip
        if partition:
            for name in names[:2]:
                for view in ("cells", "cumulated"):
                    run.add("partition", f"cnnviz/partition/{name}/{view}", step, {"png": _cells(share, view, name)},
                            identity={"layer": name, "view": view}, layer=name, view=view, width=360, height=360,
                            )  # fmt: skip
    return run


def _add_activations(run, name, width, step, share, spoil, dying):
    """Values that spread as `share` rises, of a layer of which one unit after the other dies."""
    dead = round(share * width / 2) if dying else 0
    values = np.random.default_rng(len(name)).normal(share, 0.2 + share, 4000).clip(0 if dead else None)
    info = {"mean": values.mean(), "std": values.std(), "dead": dead / width, "saturated": None, "units": width,
            "non_finite": 0, "low": values.min(), "high": values.max(), "number": 4000}  # fmt: skip
    info |= {} if dying else {"dead": None}
    counts = np.histogram(values, 64)[0].astype(np.float32)
    if spoil:
        info = {"mean": None, "std": None, "dead": None, "saturated": None, "units": 0, "non_finite": 4000}
        counts = np.zeros(0, np.float32)
    run.add("activations", f"cnnviz/activations/{name}", step, {"counts": counts}, identity={"layer": name},
            layer=name, split="validation", samples=1000, **info)  # fmt: skip


def _maps(images, kernels, size):
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    maps = np.einsum("nhwij,cij->nchw", windows, kernels, optimize=True)
    step = max(1, SIDE // size)
    return maps[:, :, ::step, ::step][:, :, :size, :size]


def _quantised(values, bad):
    low, high = values.min((2, 3), keepdims=True), values.max((2, 3), keepdims=True)
    quantised = np.round((values - low) / np.where(high > low, high - low, 1) * 255).astype(np.uint8)
    ends = {"low": low, "high": high, "mean": values.mean((2, 3), keepdims=True)}
    # As where a picture is an average of what the channel was.
    ends |= {"channel_low": 1.5 * np.minimum(low, 0), "channel_high": 1.5 * high}
    return {"values": quantised, **{name: bad(array[..., 0, 0].astype(np.float32)) for name, array in ends.items()}}


def _with_gradients(values, rng, targets, bad):
    """Activations with gradients, which are zero where these are not positive, and a picture of each sample."""
    gradients = 1e-3 * rng.normal(0, 1, values.shape) * (values > 0)
    low, high = (end((2, 3), keepdims=True) for end in (gradients.min, gradients.max))
    largest = np.maximum(-low, high)
    scaled = (np.rint(127 * gradients / np.where(largest > 0, largest, 1)) + 128).astype(np.uint8)
    ends = {"gradient_low": low, "gradient_high": high}
    seen = np.repeat((pictures(targets, rng) * 255).astype(np.uint8)[..., None], 3, axis=-1)
    arrays = {name: array for name, array in _quantised(values, bad).items() if not name.startswith("channel")}
    arrays |= {"gradients": scaled, **{name: bad(end[..., 0, 0].astype(np.float32)) for name, end in ends.items()}}
    return {**arrays, "targets": targets, "thumbnails": seen}


def _cells(share, view, name):
    y, x = np.mgrid[-1:1:360j, -1:1:360j]
    lines = np.arange(3 if view == "cells" else 8) * 2.1 + len(name)
    side = sum(
        ((x * np.cos(a + share) + y * np.sin(a + share) > 0.3 * np.sin(5 * a)) << k) for k, a in enumerate(lines)
    )
    colours = np.random.default_rng(3).integers(120, 250, (256, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours[side % 256]).save(buffer, "PNG")
    return np.frombuffer(buffer.getvalue(), np.uint8)
