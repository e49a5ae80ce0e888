"""Types of layers: of every module and function of a kind, and in every way of writing it."""

import pytest
import torch
from torch import nn

from lightning_cnnviz.functional.model_summary.roles import function_role, module_role, plain_name


@pytest.mark.parametrize(
    ("layer", "role"),
    [
        *[(kind(2, 2, 1), "convolution") for kind in (nn.Conv1d, nn.Conv3d, nn.ConvTranspose2d)],
        *[(layer, "normalisation") for layer in (nn.BatchNorm2d(2), nn.LayerNorm(2), nn.GroupNorm(1, 2))],
        *[(layer, "activation") for layer in (nn.ReLU(), nn.GELU(), nn.Softmax(1), nn.PReLU())],
        *[(layer, "pooling") for layer in (nn.MaxPool2d(2), nn.AdaptiveAvgPool3d(1))],
        *[(layer, "linear") for layer in (nn.Linear(2, 2), nn.Bilinear(2, 2, 2))],
        (nn.MultiheadAttention(2, 1), "attention"),
        (nn.Dropout2d(), "dropout"),
        *[(layer, "other") for layer in (nn.Identity(), nn.Flatten(), nn.LSTM(2, 2), nn.Sequential())],
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else value,
)
def test_modules(layer, role):
    assert module_role(layer) == role


FUNCTIONS = {
    "convolution": ["conv1d", "conv2d", "conv3d", "conv_transpose2d"],
    "normalisation": ["batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm", "normalize"],
    "activation": ["relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid",
                   "logsigmoid", "hardsigmoid", "hardswish", "tanh", "hardtanh", "softmax", "log_softmax", "softplus",
                   "softsign", "glu", "tanhshrink"],
    "pooling": ["max_pool1d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool3d", "lp_pool2d",
                "max_pool2d_with_indices", "fractional_max_pool2d"],
    "linear": ["linear", "bilinear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum"],
    "attention": ["scaled_dot_product_attention", "multi_head_attention_forward"],
    "dropout": ["dropout", "dropout2d", "alpha_dropout", "feature_alpha_dropout"],
    "other": ["cat", "add", "flatten", "reshape", "interpolate", "pixel_shuffle", "mean", "[ ]", "sum"],
}  # fmt: skip


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in FUNCTIONS.items() for name in names])
def test_functions(role, name):
    known = hasattr(torch, name) or hasattr(nn.functional, name) or hasattr(torch.Tensor, name) or name == "[ ]"
    assert known or name == "max_pool2d_with_indices"
    assert function_role(name) == role


def test_names_are_those_of_the_functions_however_they_are_written():
    names = {
        "add": ["add", "add_", "__add__", "__iadd__", "__radd__"],
        "div": ["div_", "__truediv__", "__rtruediv__", "__itruediv__"],
        "mul": ["__mul__", "__imul__", "mul"],
        "matmul": ["__matmul__", "__rmatmul__", "matmul"],
        "[ ]": ["__getitem__"],
        "[ ]=": ["__setitem__"],
        "softmax": ["_softmax", "softmax"],
        "invert": ["__invert__"],
    }
    for plain, written in names.items():
        assert {plain_name(name) for name in written} == {plain}
