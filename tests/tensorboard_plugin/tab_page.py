"""The tab as a person has it before their eyes."""

import base64
import io
import urllib.parse

import numpy as np
from PIL import Image

from .synthetic_run import camera, read

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
"""Of Chromium."""


class Tab:
    """A page of TensorBoard that shows the tab; everything that a browser complains about is kept in `complaints`."""

    def __init__(self, browser, width=1280, height=1000, first_visit=False, **options):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.complaints, self.addresses = [], []
        self.context.on("request", lambda request: self.addresses.append(request.url))
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("console", self._hear)
        if not first_visit:
            self.page.add_init_script("try { localStorage.setItem('cnnviz.toured', '1') } catch {}")
        words = "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
        self.page.add_init_script(words)

    def _hear(self, message):
        place = urllib.parse.urlsplit(message.location.get("url", "")).path
        # TensorBoard itself looks for its typeface at the root, where there is nothing under a path prefix.
        if message.type == "error" and not place.startswith("/font-roboto/"):
            self.complaints.append(message.text)

    def open(self, server, *, dark=False, **state):
        self.server = server
        fields = [f"p.cnnviz.{name}={urllib.parse.quote(str(value))}" for name, value in state.items()]
        self.page.goto("about:blank")  # a new address with another hash alone would not load anew
        self.page.goto(f"{server.address}?darkMode={str(dark).lower()}#{'&'.join(['cnnviz', *fields])}")
        return self.settle()

    def settle(self):
        """Waits for the tab's frame and for its first picture, or for the page that says that there is none."""
        self.page.wait_for_selector("iframe[src*=cnnviz]", state="attached")
        self.frame = self.page.query_selector("iframe[src*=cnnviz]").content_frame()
        self.frame.wait_for_function("document.querySelector('.block, .notes p, .empty:not([hidden])')")
        return self

    def find(self, selector):
        return self.frame.locator(selector)

    def words(self, selector):
        return self.find(selector).inner_text()

    def at(self, step):
        """Waits until a step is shown, and the pictures of it are drawn."""
        self.frame.wait_for_function(f"document.querySelector('.now b')?.textContent === '{step:,}'")
        self.page.wait_for_timeout(500)
        return self

    def pixels(self, selector):
        """What is on a canvas: height × width × 4."""
        address = self.find(selector).first.evaluate("(canvas) => canvas.toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGBA"))

    def box(self, selector):
        return self.find(selector).first.bounding_box()

    def mouse(self, selector, x, y):
        """A point within an element as the page's mouse counts it."""
        self.find(selector).first.scroll_into_view_if_needed()
        box = self.box(selector)
        return box["x"] + x, box["y"] + y

    def close(self):
        """Ends the look at the tab; nothing may have been complained about."""
        host = urllib.parse.urlsplit(self.server.address).netloc
        asked = [url for url in self.addresses if not url.startswith(("data:", "blob:"))]
        elsewhere = [url for url in asked if urllib.parse.urlsplit(url).netloc != host]
        self.context.close()
        assert not self.complaints, self.complaints
        assert not elsewhere, elsewhere


def faults(tab, axe):
    """What axe-core finds: rule and place."""
    tab.page.wait_for_timeout(800)
    tab.frame.evaluate(axe)
    found = tab.frame.evaluate("async () => (await axe.run(document)).violations")
    return [(fault["id"], node["target"], node["failureSummary"]) for fault in found for node in fault["nodes"]]


def share_drawn(tab, folder, tag, steps, step):
    """The share of a layout's points that are on the page where they belong, with room for those of all `steps`."""
    picture = tab.pixels(".points").astype(int)
    height, width = picture.shape[:2]
    place = camera(folder, tag, steps, width, height)
    x, y = place(read(folder, tag, step)["points"]).astype(int).T
    return (np.abs(picture[y, x, :3] - picture[0, 0, :3]).sum(-1) > 60).mean()
