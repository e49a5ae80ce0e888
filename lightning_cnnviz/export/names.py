"""Names of files for tags: safe on every system, each of its own, of bounded length, the same at every export."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable

from lightning_cnnviz.functional.escaping import file_name

MAX_BYTES = 80
"""Of a name in UTF-8, without its ending: the paths of an export stay below Windows' 260 characters."""
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
"""What Windows takes for a device, whatever its ending."""


def file_names(tags: Iterable[str]) -> dict[str, str]:
    """Returns a name for each tag; those that would share one, also without regard to case, end in a part of a hash.

    Example:
        >>> file_names(["kernels/conv1", "a/b", "A_b", "CON"])
        {'kernels/conv1': 'kernels_conv1', 'a/b': 'a_b-c14cddc0', 'A_b': 'A_b-08eb65ad', 'CON': '_CON'}
    """
    digits = dict.fromkeys(tags, 0)
    while True:
        names = {tag: _name(tag, count) for tag, count in digits.items()}
        taken = Counter(map(_key, names.values()))
        shared = [tag for tag, name in names.items() if taken[_key(name)] > 1]
        if not shared:
            return names
        for tag in shared:
            digits[tag] += 8


def _name(tag: str, digits: int) -> str:
    name = file_name(unicodedata.normalize("NFC", tag))
    kept = name.strip(".") or "_"
    if kept.split(".")[0].lower() in RESERVED:
        kept = f"_{kept}"
    if len(kept.encode()) > MAX_BYTES:
        digits = max(digits, 8)
    if not digits:
        return kept
    mark = "-" + hashlib.sha256(tag.encode(errors="surrogatepass")).hexdigest()[:digits]
    return kept.encode()[: MAX_BYTES - len(mark)].decode(errors="ignore") + mark


def _key(name: str) -> str:
    """What two names have in common that are one file on some system."""
    return unicodedata.normalize("NFKC", name).casefold()
