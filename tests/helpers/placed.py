"""Where the texts of a chart stand, found as they are pasted."""

from typing import NamedTuple

from lightning_cnnviz.functional.drawing import plot, row_chart


class Placed(NamedTuple):
    """A strip of text on a picture: the rows and columns it takes, and the size of the picture."""

    top: int
    bottom: int
    left: int
    right: int
    height: int
    width: int

    def is_whole(self):
        return self.top >= 0 and self.left >= 0 and self.bottom <= self.height and self.right <= self.width

    def overlaps(self, other):
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)


def texts_from_now_on(monkeypatch):
    """A list that gets the texts of the charts that are drawn."""
    found = []
    paste = plot.paste

    def noted(picture, part, top, left):
        found.append(Placed(top, top + len(part), left, left + part.shape[1], *picture.shape[:2]))
        paste(picture, part, top, left)

    for module in (plot, row_chart):
        monkeypatch.setattr(module, "paste", noted)
    return found


def clashes(texts):
    """Texts that are cut off, and pairs of texts that overlap."""
    cut = [text for text in texts if not text.is_whole()]
    return cut + [(one, other) for i, one in enumerate(texts) for other in texts[i + 1 :] if one.overlaps(other)]
