"""The parts of the page as HTML. Whatever comes from a run is JSON or Base64 in a block that no browser runs."""

import base64
import hashlib
import html
import json
from typing import Any

from lightning_cnnviz.report import bundle

CSP = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""Nothing is asked of anyone, and only the page's own script runs: names from a run cannot bring one with them."""

HEAD = """\
<!doctype html>
<html lang="en" data-report>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<meta name="generator" content="lightning-cnnviz {version}">
<title>{title} · CNN Viz</title>
<style>{style}</style>
"""
TAIL = """\
</head>
<body>
<noscript>This page draws with JavaScript, which is switched off.</noscript>
<script type="module">{script}</script>
</body>
</html>
"""


def head(title: str, version: str) -> str:
    """Returns the start of the page.

    Args:
        title: Of the page.
        version: Of this package.

    Example:
        >>> "&lt;b&gt;" in head("<b>", "0.1.0"), "'unsafe-inline'" in head("a", "0.1.0")
        (True, False)
    """
    policy = CSP.format(script=_hash(bundle.script()), style=_hash(bundle.style()))
    return HEAD.format(policy=policy, version=version, title=html.escape(title), style=bundle.style())


def block(number: int, text: str) -> str:
    """Returns an element with a block of frames, in Base64."""
    return f'<script type="text/plain" id="block-{number}">{text}</script>\n'


def data(name: str, value: Any) -> str:
    r"""Returns an element with JSON, in which nothing can be taken for the end of the element.

    Example:
        >>> print(data("contents", "</script>"), end="")
        <script type="application/json" id="contents">"\u003c/script>"</script>
    """
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def tail() -> str:
    """Returns the end of the page, with its script."""
    return TAIL.format(script=bundle.script())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
