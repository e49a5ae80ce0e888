"""Tags and names of classes and layers are anybody's words: harmless wherever they are written."""

import re


def one_line(text: str) -> str:
    r"""A text without what cannot be written in a line, such as the end of a line in a name from a file.

    Example:
        >>> one_line("cat\r\n")
        'cat  '
    """
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def file_name(text: str) -> str:
    """The name of a file or folder that stays in the folder it is meant for.

    Example:
        >>> file_name("../../projection/fc1")
        '.._.._projection_fc1'
    """
    return re.sub(r"[^\w.-]", "_", text)


def markdown(text: str) -> str:
    """Markdown that shows a text as it is: no markup, no cell of a table more, no HTML.

    Example:
        >>> markdown("<b>a|b")
        '&lt;b&gt;a&#124;b'
    """
    return re.sub(r"[^\w\s.,:-]|(?<!\w)_|_(?!\w)|__", lambda found: _entities(found[0]), one_line(text))


def _entities(signs: str) -> str:
    known = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(known.get(sign, f"&#{ord(sign)};") if sign.isascii() else sign for sign in signs)
