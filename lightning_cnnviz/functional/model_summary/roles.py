"""What type of layer a module or a function is."""

import re

from torch import nn

from lightning_cnnviz.functional.model_summary.layer_info import Role

# By the torch.nn module that defines a layer or its base class.
_MODULE_ROLES: dict[str, Role] = {
    "torch.nn.modules.conv": "convolution",
    "torch.nn.modules.batchnorm": "normalisation",
    "torch.nn.modules.instancenorm": "normalisation",
    "torch.nn.modules.normalization": "normalisation",
    "torch.nn.modules.activation": "activation",
    "torch.nn.modules.pooling": "pooling",
    "torch.nn.modules.linear": "linear",
    "torch.nn.modules.dropout": "dropout",
}
# By patterns that match the whole name of a function or operation.
_FUNCTION_ROLES: dict[str, Role] = {
    r"conv.*": "convolution",
    r".*(batch|instance|layer|group|rms)_norm|normalize|local_response_norm": "normalisation",
    r".*relu6?|.*elu|selu|gelu|silu|mish|(hard|log)?(sigmoid|swish|tanh|softmax)|(log_|hard)?softmax|logsigmoid|softplus"
    r"|hardtanh|hardshrink|tanhshrink|softsign|glu": "activation",
    r".*pool\d?d?(_with_indices)?": "pooling",
    r"linear|addmm|b?mm|matmul|baddbmm|einsum|bilinear": "linear",
    r".*attention.*": "attention",
    r".*dropout.*": "dropout",
}
_OPERATORS = {"truediv": "div", "floordiv": "div", "getitem": "[ ]", "setitem": "[ ]="}


def module_role(module: nn.Module) -> Role:
    """Returns the role of a module, by its class.

    Example:
        >>> module_role(nn.Conv2d(1, 6, 5)), module_role(nn.Identity())
        ('convolution', 'other')
    """
    if isinstance(module, nn.MultiheadAttention):
        return "attention"
    if isinstance(module, nn.Identity):  # defined in torch.nn.modules.linear
        return "other"
    found = (_MODULE_ROLES[kind.__module__] for kind in type(module).__mro__ if kind.__module__ in _MODULE_ROLES)
    return next(found, "other")


def function_role(name: str) -> Role:
    """Returns the role of a function, by its plain name.

    Example:
        >>> function_role("relu"), function_role("max_pool2d"), function_role("cat")
        ('activation', 'pooling', 'other')
    """
    return next((role for pattern, role in _FUNCTION_ROLES.items() if re.fullmatch(pattern, name)), "other")


def plain_name(name: str) -> str:
    """Returns the name of a function without the signs of operators, of operations in place and of private ones.

    Example:
        >>> [plain_name(name) for name in ("__iadd__", "add_", "__rtruediv__", "__getitem__", "cat", "_softmax")]
        ['add', 'add', 'div', '[ ]', 'cat', 'softmax']
    """
    bare = name.strip("_").removeprefix("boolean_dispatch")
    operator = re.fullmatch(r"__[ir]?(add|sub|mul|matmul|truediv|floordiv|pow|mod|and|or|xor)__", name)
    bare = operator[1] if operator else bare
    return _OPERATORS.get(bare, bare)
