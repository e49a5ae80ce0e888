import base64
import hashlib
import re

from lightning_cnnviz.report.page import block, data, head, tail

HOSTILE = "</title></script><img src=x onerror=alert(1)><!--"


def test_only_the_scripts_and_styles_of_the_page_are_allowed():
    text = head("run", "1.0") + tail()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for kind, tag in (("script-src", 'script type="module"'), ("style-src", "style")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag.split()[0]}>", text, re.DOTALL)
        assert allowed[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
    assert allowed["default-src"] == "'none'"
    assert "http" not in text.replace("http-equiv", "")


def test_nothing_of_a_run_is_read_as_markup():
    assert HOSTILE not in head(HOSTILE, "1.0")
    text = data("contents", {HOSTILE: [HOSTILE]})
    assert text.count("<") == 2
    assert text.endswith("</script>\n")
    assert block(3, "YWJj") == '<script type="text/plain" id="block-3">YWJj</script>\n'
