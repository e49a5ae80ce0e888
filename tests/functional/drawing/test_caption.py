import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.caption import (
    beside,
    colour_scale,
    labelled,
    non_finite_note,
    pad,
    shorten,
    stack,
    text_line,
    text_width,
    titled,
    write,
)

LONG = "features.denseblock3.denselayer24.conv2"


def flat(height, width, value=7):
    return np.full((height, width, 3), value, dtype=np.uint8)


def ink(picture):
    """Rows and columns, from first to last, that have something on them."""
    dark = (picture < 200).any(axis=-1)
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    return (rows[0], rows[-1], columns[0], columns[-1]) if len(rows) else None


@pytest.mark.parametrize("keep_end", [False, True])
@pytest.mark.parametrize("width", [20, 60, 120, 200])
def test_a_shortened_text_fits_and_no_longer_one_would(width, keep_end):
    shown = shorten(LONG, width, keep_end=keep_end)
    assert text_width(shown) <= width
    kept = shown.strip("…")
    assert LONG.endswith(kept) if keep_end else LONG.startswith(kept)
    one_more = len(kept) + 1
    longer = "…" + LONG[-one_more:] if keep_end else LONG[:one_more] + "…"
    assert text_width(longer) > width


def test_a_text_that_fits_stays_as_it_is():
    assert shorten(LONG, text_width(LONG)) == LONG
    assert shorten("x", 50) == "x"


def test_an_empty_text_stays_empty():
    assert shorten("", 50) == ""
    assert ink(text_line("", 50)) is None


def test_a_text_without_room_is_only_marked_as_cut():
    assert shorten(LONG, 1) == "…"


@pytest.mark.parametrize("text", ["conv1", "ÄÖÜ·ß", "слой", "λ → ∞", "gjpqy|_"])
def test_a_line_is_written_within_its_strip(text):
    strip = text_line(text)
    top, bottom, left, right = ink(strip)
    assert top >= 0
    assert bottom < len(strip) - 1  # descenders have room
    assert left >= 0
    assert right < strip.shape[1]


def test_a_line_of_given_width_is_centred():
    strip = text_line("HHH", 101)
    assert strip.shape[1] == 101
    _, _, left, right = ink(strip)
    assert abs(left - (100 - right)) <= 2


def test_different_texts_look_different():
    assert not np.array_equal(text_line("conv1", 80), text_line("conv2", 80))


def test_non_finite_values_are_counted_in_words():
    assert non_finite_note(np.float32([1, np.nan, np.inf, -np.inf]), "weights").startswith("3 non-finite weights")
    assert non_finite_note(np.float32([1, 2]), "weights") == ""


@pytest.mark.parametrize("anchor", ["lm", "mm", "rm"])
def test_words_are_written_at_their_place_in_ink_that_stands_out(anchor):
    for ground in (0, 255):
        before = flat(40, 200, ground)
        after = write(before, [(10, 100, "one"), (30, 100, "two")], anchor)
        assert after.shape == before.shape
        assert (before == ground).all()
        rows, columns = np.nonzero((after != ground).any(axis=-1))
        for middle in (10, 30):
            own = columns[np.abs(rows - middle) < 10]
            left, right = own.min(), own.max()
            place = {"lm": left, "mm": (left + right) / 2, "rm": right}[anchor]
            assert abs(place - 100) <= 2
        extreme = after.max() if ground == 0 else after.min()
        assert abs(int(extreme) - (255 if ground == 0 else 34)) <= 1


def test_a_line_can_be_of_another_colour():
    line, other = text_line("conv1", 80), text_line("conv1", 80, ink=(178, 24, 43))
    assert ink(line) == ink(other)
    assert (other == (178, 24, 43)).all(axis=-1).any()


def test_pad_adds_white_right_and_below_and_never_cuts():
    padded = pad(flat(2, 3), 4, 5)
    assert padded.shape == (4, 5, 3)
    assert (padded[:2, :3] == 7).all()
    assert (padded[2:] == 255).all()
    assert (padded[:, 3:] == 255).all()
    assert np.array_equal(pad(flat(5, 6), 4, 5), flat(5, 6))


@pytest.mark.parametrize("gap", [0, 1, 8])
def test_pictures_stand_beside_each_other_with_tops_aligned(gap):
    joined = beside(flat(2, 3, 1), flat(4, 2, 2), flat(1, 1, 3), gap=gap)
    assert joined.shape == (4, 6 + 2 * gap, 3)
    assert (joined[:2, :3] == 1).all()
    assert (joined[:, 3 + gap : 5 + gap] == 2).all()
    assert (joined[0, -1] == 3).all()
    assert (joined == 255).all(-1).sum() == joined[..., 0].size - 6 - 8 - 1


@pytest.mark.parametrize("gap", [0, 1, 8])
def test_pictures_stand_below_each_other_with_left_sides_aligned(gap):
    joined = stack(flat(2, 3, 1), flat(4, 2, 2), flat(1, 1, 3), gap=gap)
    assert joined.shape == (7 + 2 * gap, 3, 3)
    assert (joined[:2] == 1).all()
    assert (joined[2 + gap : 6 + gap, :2] == 2).all()
    assert (joined[-1, 0] == 3).all()
    assert (joined == 255).all(-1).sum() == joined[..., 0].size - 6 - 8 - 1


def test_a_label_goes_under_the_cell_and_keeps_its_end():
    cell = flat(10, 60)
    below = labelled(cell, LONG)
    assert below.shape[1] == 60
    assert (below[:10] == 7).all()
    assert np.array_equal(below[10:], labelled(cell, "x.y.z" + LONG)[10:])
    assert not np.array_equal(below[10:], labelled(cell, LONG[:-1] + "3")[10:])


def test_the_colour_scale_runs_through_the_colours_from_low_to_high():
    colours = np.stack([np.arange(200), np.zeros(200), np.zeros(200)], -1).astype(np.uint8)
    scale = colour_scale(colours, "−1", "+1")
    bar = scale[len(scale) // 2]
    coloured = bar[(bar[:, 1] == 0) & (bar[:, 2] == 0)][:, 0].astype(int)
    assert coloured[0] == 0
    assert coloured[-1] >= 198
    assert (np.diff(coloured) > 0).all()


def test_the_finished_picture_holds_what_it_frames_unchanged_and_grows_with_its_notes():
    inner = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    heights = []
    for notes in ([], ["one"], ["one", "two"], ["one", "", "two"]):
        framed = titled(inner, "conv1", *notes)
        assert np.array_equal(framed[-28:-8, 8:38], inner)
        assert (framed[-8:] == 255).all()
        assert (framed[:, :8] == 255).all()
        assert (framed[:, -8:] == 255).all()
        heights.append(len(framed))
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_a_picture_without_words_gets_a_margin_only():
    assert titled(flat(20, 30), "").shape == (36, 46, 3)


def test_a_long_title_widens_the_picture_instead_of_being_cut():
    framed = titled(flat(20, 30), LONG * 3)
    assert framed.shape[1] > text_width(LONG * 3)
