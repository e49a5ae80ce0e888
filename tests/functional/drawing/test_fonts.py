"""Names in any script are written: in a font that has their characters, or as code points, never as boxes."""

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from helpers.tiny import TinyData, TinyNet, fit, image_steps
from matplotlib import font_manager
from matplotlib.font_manager import fontManager
from PIL import Image, ImageDraw, ImageFont, features
from torch.utils.data import DataLoader

from lightning_cnnviz import ClassReport
from lightning_cnnviz.functional.drawing import caption, figure, fonts, point_canvas
from lightning_cnnviz.functional.drawing.caption import text_line, text_width, write
from lightning_cnnviz.functional.drawing.figure import bar_figure, line_figure, render_figure
from lightning_cnnviz.functional.drawing.fonts import drawable
from lightning_cnnviz.functional.drawing.scatter import scatter_chart

BUNDLED = Path(matplotlib.get_data_path(), "fonts", "ttf")
CHINESE, KOREAN, HINDI, ARABIC = "猫", "개", "बिल्ली", "قطة"
SQUARE = (200, 0, 800, 600)
"""Left, bottom, right, top of every glyph of the font that is made here, whose letters are 1,000 wide and high."""


def make_font(path, name, characters, blank=False):
    """A font in which each of some characters is the same square, or nothing."""
    glyphs = {f"u{ord(char):X}": char for char in characters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *glyphs])
    builder.setupCharacterMap({ord(char): glyph for glyph, char in glyphs.items()})
    pen = TTGlyphPen(None)
    left, bottom, right, top = SQUARE
    if not blank:
        for draw, corner in ((pen.moveTo, (left, bottom)), (pen.lineTo, (left, top)), (pen.lineTo, (right, top)),
                             (pen.lineTo, (right, bottom))):  # fmt: skip
            draw(corner)
        pen.closePath()
    shape = pen.glyph()
    builder.setupGlyf(dict.fromkeys([".notdef", *glyphs], shape))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *glyphs], (1000, left)))
    builder.setupHorizontalHeader(ascent=880, descent=-120)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)


def forget():
    for remembered in (fonts.font_file, fonts._installed_files, caption.text_line, caption.text_width,
                       point_canvas._text):  # fmt: skip
        remembered.cache_clear()
    fonts.missing.clear()


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Makes fonts, which are the only ones that are installed."""
    files, known = [], list(fontManager.ttflist)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(files))
    forget()

    def install(characters, name="Squares", **options):
        files.append(str(tmp_path / f"{name}.ttf"))
        make_font(files[-1], name, characters, **options)
        forget()
        return files[-1]

    yield install
    fontManager.ttflist[:] = known
    forget()


def strip(text, width, size=12, font="DejaVuSans.ttf", left=0.0, **options):
    """A line of text as Pillow alone writes it."""
    image = Image.new("L", (width, size + 6))
    face = ImageFont.truetype(str(BUNDLED / font), size, **options)
    ImageDraw.Draw(image).text((left, 1), text, fill=255, font=face)
    return np.asarray(image)


def cover(line):
    """The ink of a line, 0…255, from colours between white and the ink."""
    return (255 - line[..., 0].astype(int)) * 255 / (255 - caption.INK[0])


def test_the_usual_font_has_every_character_for_which_none_is_looked_for():
    sure = {char for char in map(chr, range(0x3000)) if char.isprintable() and fonts.SURE.fullmatch(char)}
    assert len(sure) > 1000
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
        assert {ord(char) for char in sure} <= TTFont(BUNDLED / name).getBestCmap().keys()


@pytest.mark.parametrize("text", ["conv1 × 3 · λ", "слой", "10⁻³ → ∞", "Größe"])
def test_what_the_usual_font_has_is_written_as_pillow_does(text):
    line = text_line(text)
    assert np.abs(cover(line) - strip(text, line.shape[1])).max() <= 5  # of 255: there are 32 shades
    assert drawable(text) == text


@pytest.mark.parametrize("name", [CHINESE, KOREAN, HINDI])
@pytest.mark.usefixtures("no_warnings")
def test_a_name_is_written_in_an_installed_font_and_what_is_beside_it_in_the_usual_one(install, name):
    if fonts.SHAPED.search(name) and not fonts.SHAPING:
        pytest.skip("there is no FriBiDi here, without which it is code points")
    install(name)
    assert drawable(f"{name} conv1") == f"{name} conv1"
    line = cover(text_line(f"{name} conv1"))
    for k in range(len(name)):  # squares of 7.2 pixels on the baseline of the usual font
        ink = line[:, 12 * k : 12 * (k + 1)]
        assert ink.sum() / 255 == pytest.approx(7.2**2, rel=0.15)
        rows, columns = np.nonzero(ink > 127)
        assert rows.max() + 1 == np.nonzero(strip("x", 12).max(axis=1) > 127)[0].max() + 1
        assert abs(columns.mean() - 5.5) < 1
    words = line[:, 12 * len(name) :]
    assert np.abs(words - strip(" conv1", words.shape[1])).max() <= 5


def test_widths_are_those_of_the_fonts(install):
    install(CHINESE)
    assert text_width(CHINESE * 3) == 36
    assert text_width(f"a{CHINESE}") == int(
        np.ceil(ImageFont.truetype(BUNDLED / "DejaVuSans.ttf", 12).getlength("a") + 12)
    )


@pytest.mark.parametrize("anchor", ["lm", "mm", "rm"])
def test_words_in_two_fonts_stand_at_their_place(install, anchor):
    install(CHINESE)
    after = write(np.full((40, 200, 3), 255, dtype=np.uint8), [(20, 100, f"a{CHINESE}")], anchor)
    rows, columns = np.nonzero((after < 128).any(axis=-1))
    place = {"lm": columns.min(), "mm": (columns.min() + columns.max()) / 2, "rm": columns.max()}[anchor]
    assert abs(place - 100) <= 4  # the square ends 2.4 pixels before its letter
    assert abs((rows.min() + rows.max()) / 2 - 20) <= 3


@pytest.mark.parametrize("name", [CHINESE, KOREAN, HINDI, "🦊"])
def test_what_no_font_has_is_written_as_code_points_and_said_once(install, name):
    install("x")  # nothing of these
    codes = "".join(char.encode("unicode_escape").decode() for char in name)
    with pytest.warns(UserWarning, match="no installed font can write") as said:
        assert drawable(f"a{name}") == f"a{codes}"
    assert len(said) == 1
    assert name[0] in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawable(f"b{name}") == f"b{codes}"
        np.testing.assert_array_equal(text_line(f"a{name}"), text_line(f"a{codes}"))


def test_blank_glyphs_and_fonts_of_last_resort_are_not_taken(install):
    install(CHINESE, blank=True)
    install(CHINESE, name="LastResort")
    assert fonts.font_file(CHINESE) is None


def test_fonts_without_serifs_come_first_and_then_those_that_have_more(install):
    serif = install("".join(map(chr, range(0x4E00, 0x4F00))) + CHINESE, name="Square Serif")
    small, large = install(CHINESE, name="Small"), install(CHINESE + "開関間", name="Large")
    assert fonts._installed_files() == [large, small, serif]
    assert fonts.font_file(CHINESE) == large


def test_arabic_is_joined_and_runs_from_right_to_left_or_is_written_as_code_points(install):
    if not features.check("raqm"):
        with pytest.warns(UserWarning, match="no installed font can write"):
            assert drawable(ARABIC) == r"\u0642\u0637\u0629"
        return
    assert drawable(ARABIC) == ARABIC
    line = cover(text_line(ARABIC))
    joined = strip(ARABIC, line.shape[1], layout_engine=ImageFont.Layout.RAQM)
    assert np.abs(line - joined).max() <= 5
    assert np.abs(line - strip(ARABIC, line.shape[1], layout_engine=ImageFont.Layout.BASIC)).max() > 100


def test_where_nothing_can_shape_them_letters_that_need_it_are_code_points():
    forget()
    with pytest.warns(UserWarning, match="no installed font can write"):
        assert drawable(f"a {ARABIC}", shaping=False) == r"a \u0642\u0637\u0629"
    forget()


def test_variation_selectors_are_left_out():
    assert drawable("❤\ufe0f") == "❤"


def test_names_of_points_have_the_font_of_their_script(install):
    def drawn(name):
        return scatter_chart(np.zeros((2, 2)), np.array([0, 0]), [name], title="")

    install(CHINESE + KOREAN)
    assert np.array_equal(drawn(CHINESE), drawn(KOREAN))  # both are squares
    assert not np.array_equal(drawn(CHINESE), drawn("?"))


@pytest.mark.usefixtures("no_warnings")  # matplotlib warns of glyphs that are not there
@pytest.mark.parametrize("name", [CHINESE, KOREAN])
def test_figures_of_matplotlib_have_the_font_too(install, name):
    install(CHINESE + KOREAN)
    x = np.arange(3.0)

    def drawn(name):
        return render_figure(line_figure({name: (x, x)}, title=name, x_label="epoch", y_label="loss"))

    np.testing.assert_array_equal(drawn(name), drawn({CHINESE: KOREAN, KOREAN: CHINESE}[name]))
    assert not np.array_equal(drawn(name), drawn("?"))


@pytest.mark.usefixtures("no_warnings")
def test_slanted_notes_on_figures_are_upright_where_the_slanted_font_lacks_them(install):
    def drawn(note):
        return render_figure(bar_figure(["a"], {"g": np.array([1.0])}, title="", value_label="", notes={0: note}))

    if not figure.SHAPING:
        pytest.skip("this matplotlib cannot write Arabic, which is code points then")
    install("x")
    assert drawn(ARABIC).shape == drawn("none").shape
    assert not np.array_equal(drawn(ARABIC), drawn(ARABIC[:-1]))


RARE = "\U00018b00"  # of the Khitan small script


class RareNames(TinyData):
    classes = ("猫", "개", "बिल्ली", RARE)


def test_a_run_with_names_in_four_scripts_is_drawn_and_says_once_what_it_cannot_write(tmp_path):
    if fonts.font_file(RARE) is not None:
        pytest.skip("an installed font has even the rarest script")
    data = DataLoader(RareNames(), 8), DataLoader(RareNames(40, seed=1), 8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(tmp_path, [ClassReport(on_error="warn")], TinyNet, data, max_epochs=2)
    said = [str(one.message) for one in caught if "no installed font" in str(one.message)]
    assert len(said) == 1
    assert said[0].startswith("lightning_cnnviz: no installed font can write ")
    assert all(len(steps) == 2 for steps in image_steps(tmp_path).values())
