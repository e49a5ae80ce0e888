"""Text in any script: in matplotlib's own font, and where that lacks a character in one that is installed."""

import re
import warnings
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from PIL import ImageDraw, ImageFont, features

from lightning_cnnviz.functional.escaping import one_line

SURE = re.compile(
    "[ -~\xa1-\u02af\u0391-\u03c9\u0400-\u045f\u2010-\u2026\u2070-\u207f\u2190-\u21ff\u2200-\u22ff\u2717]*"
)
"""Texts of the usual font's characters alone, for which no font need be looked into."""
SHAPED = re.compile("[\u0590-\u109f\u1780-\u18af]")
"""Characters of scripts that run from right to left, or in which letters change with their neighbours."""
SHAPING = bool(features.check("raqm"))
"""Whether Pillow can write these scripts: its library for that needs FriBiDi, which not every system has."""
SELECTORS = re.compile("[\ufe00-\ufe0f]")
"""Variation selectors, which choose between two looks of the character before them."""

missing: set[str] = set()
"""Characters that were written as code points in this process."""


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Returns the usual font of all text on pictures, at a size in pixels."""
    return ImageFont.truetype(_usual_file(bold), size)


def drawable(text: str, *, shaping: bool = SHAPING) -> str:
    r"""Returns a text as one line that can be drawn: characters that no font has become code points.

    The first time, a warning names them. Variation selectors are left out.

    Args:
        text: Any text.
        shaping: Whether who draws it can write Arabic, Devanagari and other scripts that need more than a glyph for
            each character; if not, their characters become code points, too.

    Example:
        >>> drawable("conv1 × 3\n"), drawable("قط", shaping=False)
        ('conv1 × 3 ', '\\u0642\\u0637')
    """
    text = one_line(text)
    if SURE.fullmatch(text):
        return text
    text = SELECTORS.sub("", text)
    lacking = {char for char in text if (SHAPED.match(char) and not shaping) or font_file(char) is None}
    if lacking and not missing:
        warnings.warn(note(lacking), stacklevel=2)
    missing.update(lacking)
    return "".join(_code_point(char) if char in lacking else char for char in text)


def note(characters: set[str]) -> str:
    r"""Returns what to say of characters that no font has.

    Example:
        >>> note({"\u4e2d"}).partition(";")[0]
        'no installed font can write 中, which pictures show as \\u4e2d'
    """
    some = "".join(sorted(characters)[:8])
    codes = "".join(map(_code_point, some))
    remedy = "install a font of its script, e.g. of Noto, and FriBiDi for Arabic or Hindi"
    return f"no installed font can write {some}, which pictures show as {codes}; {remedy}"


def text_length(text: str, size: int, bold: bool = False) -> float:
    """Returns the length of a drawable text in pixels."""
    return sum(face.getlength(part) for part, face in _pieces(text, size, bold))


def draw_text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    *,
    fill: int | tuple[int, int, int],
    anchor: str = "la",
    bold: bool = False,
    stroke: int = 0,
) -> None:
    """Draws a drawable text, each part of it in the first font that has its characters.

    Args:
        pen: Draws on the image.
        place: Column and row of the anchor.
        text: As `drawable` returns it.
        size: Font size, in pixels.
        fill: Its colour.
        anchor: Which point of the text is at `place`, as in Pillow: `"l"`, `"m"` or `"r"` and `"a"` or `"m"`.
        bold: Whether to take the bold font, if it has the characters.
        stroke: Width of an outline of the same colour, in pixels.
    """
    (column, baseline), usual = place, font(size, bold)
    pieces = _pieces(text, size, bold)
    if [face for _, face in pieces] == [usual]:
        return pen.text(place, text, fill, usual, anchor=anchor, stroke_width=stroke)
    ascent, descent = usual.getmetrics()
    column -= text_length(text, size, bold) * {"l": 0, "m": 0.5, "r": 1}[anchor[0]]
    baseline += {"a": ascent, "m": (ascent - descent) / 2}[anchor[1]]
    for part, face in pieces:
        pen.text((column, baseline), part, fill, face, anchor="ls", stroke_width=stroke)
        column += face.getlength(part)
    return None


@lru_cache(maxsize=2**14)
def font_file(char: str, bold: bool = False) -> str | None:
    """Returns the path of the font for a character: the usual one or one that is installed; None if none has it."""
    usual = _usual_file(bold)
    if SURE.fullmatch(char) or _has(usual, char):
        return usual
    return next((file for file in _installed_files() if _has(file, char)), None)


def family_names(text: str) -> list[str]:
    """Returns the families of the installed fonts that a drawable text needs; matplotlib knows them thereafter."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    files = {file for file in map(font_file, text) if file not in (None, _usual_file(False))}
    for file in files - {entry.fname for entry in fontManager.ttflist}:
        fontManager.addfont(file)
    return sorted({FT2Font(file).family_name for file in files})


@lru_cache(maxsize=256)
def _face(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _pieces(text: str, size: int, bold: bool) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """Divides a text into parts of one font each."""
    if SURE.fullmatch(text):
        return [(text, font(size, bold))] if text else []
    usual = _usual_file(bold)
    files = [font_file(char, bold) or usual for char in text]
    for k, around in enumerate(zip(files, files[2:], strict=False), start=1):
        if text[k] == " " and around[0] == around[1]:
            files[k] = around[0]  # words of one script are one part: their order may be from right to left
    parts = [
        (file, "".join(char for _, char in group))
        for file, group in groupby(zip(files, text, strict=True), itemgetter(0))
    ]
    return [(part, font(size, bold) if file == usual else _face(file, size)) for file, part in parts]


@lru_cache
def _usual_file(bold: bool) -> str:
    # Bundled with matplotlib, hence the same on every machine: Latin, Greek, Cyrillic and some other alphabets. Found
    # without importing matplotlib, which takes three tenths of a second; some systems keep its data elsewhere.
    spec = find_spec("matplotlib")
    folder = Path((spec and spec.origin) or "").parent / "mpl-data" / "fonts" / "ttf"
    if not folder.is_dir():
        import matplotlib

        folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return str(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))


@lru_cache
def _installed_files() -> list[str]:
    """Returns the installed fonts: regular before others, sans before serif, then by size: large ones have most."""
    from matplotlib.font_manager import findSystemFonts  # matplotlib's own list is not renewed when one is installed
    from matplotlib.ft2font import FT2Font

    ranks: dict[str, tuple[bool, bool, int, str]] = {}
    for file in findSystemFonts():
        with suppress(OSError, RuntimeError):  # it is broken
            face, size = FT2Font(file), Path(file).stat().st_size
            if face.scalable and "lastresort" not in file.lower():  # which has a box for every character
                ranks[file] = (face.style_name != "Regular", "Serif" in face.family_name, -size, file)
    return sorted(ranks, key=lambda file: ranks[file])


def _has(file: str, char: str) -> bool:
    """Whether a font has a glyph for a character that is not blank, as those of coloured emoji are for Pillow."""
    from matplotlib.ft2font import FT2Font

    try:
        return bool(FT2Font(file).get_char_index(ord(char))) and bool(_face(file, 16).getmask(char).getbbox())
    except (OSError, RuntimeError):
        return False


def _code_point(char: str) -> str:
    return char.encode("unicode_escape").decode()
