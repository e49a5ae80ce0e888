"""Checks the built site: links within it lead somewhere, and no page loads anything from elsewhere.

Argument: the folder of the HTML files.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
}
METADATA = {"canonical", "alternate", "author", "copyright"}
"""Relations of a <link> that a browser does not load."""


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        found = {name: value or "" for name, value in attributes}
        self.places.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if found.get(LOADED.get(tag, ""), "") and found.get("rel", "") not in METADATA:
            self.loaded.append(found[LOADED[tag]])


def faults(site: Path) -> list[str]:
    """Say what is wrong, a line each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for url in {*page.links, *page.loaded}:
            parts = urlsplit(url)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if url in page.loaded:
                    found.append(f"{name} loads {url}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{name} links to {url}, which is not there")
            elif "_modules" in name.parts:
                continue  # the listings of viewcode, which knows a module by one of its names
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{name} links to {url}, which has no such place")
    print(f"{len(pages)} pages, {sum(len(page.links) + len(page.loaded) for page in pages.values())} links looked at")
    return sorted(found)


if __name__ == "__main__":
    problems = faults(Path(sys.argv[1]))
    print(*problems, sep="\n", end="\n" if problems else "")
    sys.exit(bool(problems))
