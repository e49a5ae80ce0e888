"""Event files with pictures and scalars as any logger may write them."""

import io

import numpy as np
from PIL import Image
from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

Value = summary_pb2.Summary.Value


def picture(seed, height=20, width=30, colours=255, mode="RGB"):
    """Noise: nothing of it can be lost without being noticed."""
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    noise = np.random.default_rng(seed).integers(0, colours, shape, dtype=np.uint8)
    return Image.fromarray(noise, mode)


def file_of(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


def image_value(tag, data):
    return Value(tag=tag, image=summary_pb2.Summary.Image(encoded_image_string=data))


def tensor_value(tag, plugin, texts=(), number=None):
    """As `tf.summary` writes it."""
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin))
    if number is not None:
        return Value(
            tag=tag, metadata=metadata, tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[number])
        )
    return Value(
        tag=tag, metadata=metadata, tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=list(texts))
    )


def log(run, step, *values):
    """Adds an event with some values to a `synthetic_run.Run`."""
    run.event(step=step, summary=summary_pb2.Summary(value=values))
