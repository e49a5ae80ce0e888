"""The page within another one: HTML that carries it whole, for the output of a notebook's cell."""

from html import escape

FRAME = """\
<div style="position:relative;width:100%;height:{height}px">
<p style="position:absolute">{name}: trust this notebook (File → Trust Notebook) to see the page of the run here.</p>
<iframe data-cnnviz="{key}" title="{name}" sandbox="allow-scripts" srcdoc='{page}'
style="position:absolute;width:100%;height:100%;border:0;background:Canvas"></iframe>
</div>
<script>{script}</script>
"""
"""The page has no origin, and thus no access to the notebook. A frontend that does not trust a notebook takes the
frame away, and what it covers is seen."""
SCRIPT = """\
window.cnnvizKept ??= (() => {
const kept = new Map();
addEventListener("message", ({ source, data }) => {
if (data?.cnnviz === undefined) return;
const frames = [...document.querySelectorAll("iframe[data-cnnviz]")];
const key = frames.find((frame) => frame.contentWindow === source)?.dataset.cnnviz;
if (data.cnnviz !== null) kept.set(key, data.cnnviz);
else if (kept.has(key)) source.postMessage({ cnnviz: kept.get(key) }, "*");
});
return kept;
})();"""
"""Keeps for each frame what its reader has chosen, and hands it on to the page that comes in its place, which asks
with null; see `data/address.js`."""
WAITING = """<p>{name}: nothing to show yet. {reason}</p>"""


def framed(page: str, name: str, key: str, height: int) -> str:
    """Returns HTML that shows a page in a frame of its own.

    Args:
        page: The page.
        name: Of the run.
        key: Names the place: the next page with this key goes on where the reader of this one was.
        height: In pixels; the frame is as wide as there is room.

    Example:
        >>> html = framed("<p class='a'>&amp;</p>", "lenet", "a1", 720)
        >>> "<p class=&#x27;a&#x27;>&amp;amp;</p>" in html
        True
    """
    quoted = page.replace("&", "&amp;").replace("'", "&#x27;")  # what single quotes need; there are many double ones
    return FRAME.format(page=quoted, name=escape(name), key=escape(key), height=height, script=SCRIPT)


def waiting(name: str, reason: str) -> str:
    """Returns HTML that says why there is no page yet."""
    return WAITING.format(name=escape(name), reason=escape(reason))
