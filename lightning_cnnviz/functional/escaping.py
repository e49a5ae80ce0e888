"""Escaping of tags and of class and layer names, which may hold any text, for captions, file names and Markdown."""

import re


def one_line(text: str) -> str:
    r"""Replaces unprintable characters, such as line breaks in a name read from a file, by spaces.

    Example:
        >>> one_line("cat\r\n")
        'cat  '
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def file_name(text: str) -> str:
    """Turns a text into a safe file or folder name, without path separators.

    Example:
        >>> file_name("../../projection/fc1")
        '.._.._projection_fc1'
    """
    return re.sub(r"[^\w.-]", "_", text)


def markdown(text: str) -> str:
    """Escapes a text so that Markdown shows it literally: no markup, no extra table cell, no HTML.

    Example:
        >>> markdown("<b>a|b")
        '&lt;b&gt;a&#124;b'
    """
    return re.sub(r"[^\w\s.,:-]|(?<!\w)_|_(?!\w)|__", lambda found: _entities(found[0]), one_line(text))


def _entities(chars: str) -> str:
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(named.get(char, f"&#{ord(char)};") if char.isascii() else char for char in chars)
