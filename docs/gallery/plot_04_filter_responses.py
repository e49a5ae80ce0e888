"""
Filter responses
================

Each kernel beside what it makes of one image: the input channel filtered with the kernel, without
bias and nonlinearity.
"""

from PIL import Image

from digits_cnn import load, trained
from lightning_cnnviz.functional import conv_weight, filter_response, filter_responses, record

model, _ = trained()
image, label = load().images[0], load().labels[0]
responses = filter_responses(model.conv1, image[None])[0]

Image.fromarray(
    filter_response(
        conv_weight(model.conv1)[:, 0], responses, {f"true: {label}": image}, title="conv1"
    )
)

# %%
# Of a deeper layer the response needs what that layer receives: ``record(model, images,
# "conv2.input")``.
received = record(model, image[None], "conv2.input").layers["conv2.input"]
responses = filter_responses(model.conv2, received, channel=3)[0]

Image.fromarray(
    filter_response(
        conv_weight(model.conv2)[:, 3],
        responses,
        {f"true: {label}": image, "channel 3": received[0, 3:4]},
        title="conv2, input channel 3",
    )
)
