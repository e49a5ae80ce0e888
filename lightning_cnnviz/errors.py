"""Configuration errors and argument checks.

Wherever a list is expected, any sequence or NumPy array is accepted; wherever a number is expected, a NumPy scalar.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

ClassNames: TypeAlias = Sequence[str] | Mapping[int, str]
"""Names by class index; a NumPy array of names is accepted as well."""


class NotRunAgainError(ValueError):
    """A model cannot be run once more without changing something of it that no copy keeps apart.

    Args:
        reason: What that is.

    Example:
        >>> print(str(NotRunAgainError("its forward() uses a generator object")).partition(";")[0])
        the model is not run by itself, since its forward() uses a generator object
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the model is not run by itself, since {reason}; only what its own validation shows is drawn, from the "
            "second one on"
        )


class ConfigurationError(ValueError):
    """An argument does not fit the model or the data; unlike a failure to draw, this ends the run, and early."""


def whole_number(value: Any, name: str, at_least: int | None = None) -> int:
    """Converts a Python or NumPy integer to an int.

    Raises:
        TypeError: If `value` is not an integer; a bool is not.
        ValueError: If it is below `at_least`.

    Example:
        >>> whole_number(2.5, "num_samples")
        Traceback (most recent call last):
            ...
        TypeError: expected num_samples to be a whole number, got 2.5
    """
    try:
        if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):  # NumPy's, without importing it
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"expected {name} to be a whole number, got {value!r}") from None
    if at_least is not None and number < at_least:
        raise ValueError(f"expected {name} to be at least {at_least}, got {number}")
    return number


def names_list(value: Any, name: str) -> list[str]:
    """Converts a name or a sequence of names to a list.

    Raises:
        TypeError: If `value` is neither.

    Example:
        >>> names_list(("conv1", "conv2"), "layers"), names_list("features.*", "layers")
        (['conv1', 'conv2'], ['features.*'])
    """
    if isinstance(value, str):
        return [str(value)]
    names = list(value) if isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)) else [None]
    if not all(isinstance(part, str) for part in names):
        raise TypeError(f"expected {name} to be a name or a list of names, got {value!r}")
    return [str(part) for part in names]


def class_names_list(value: Any) -> list[str]:
    """Converts class names to a list in the order of the class indices.

    Args:
        value: A sequence or NumPy array of names, or a mapping from class index (0, 1, …) to name or from name to
            class index.

    Raises:
        TypeError: If `value` is anything else, or if the indices of a mapping are not 0, 1, … without gaps.

    Example:
        >>> class_names_list({1: "dog", 0: "cat"})
        ['cat', 'dog']
    """
    if isinstance(value, Mapping):
        by_name = all(isinstance(key, str) for key in value)
        indices, texts = (list(value.values()), list(value)) if by_name else (list(value), list(value.values()))
        by_index = dict(zip(indices, texts, strict=True))
        if set(by_index) != set(range(len(texts))):
            raise TypeError(f"expected class_names to have the class indices 0 to {len(texts) - 1}, got {indices}")
        value = [by_index[index] for index in range(len(texts))]
    names = None if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) else list(value)
    if names is None or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"expected class_names to be a list of names or a mapping from class index to name, got {value!r}"
        )
    return [str(name) for name in names]
