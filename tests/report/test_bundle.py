import re

import pytest

from lightning_cnnviz.report import bundle

NAMES = re.compile(r"^// ((?:\w+/)?\w+\.js)$", re.MULTILINE)


def test_every_module_is_there_once_after_those_that_it_imports():
    names = NAMES.findall(bundle.script())
    there = {path.relative_to(bundle.STATIC).as_posix() for path in bundle.STATIC.rglob("*.js")}
    assert set(names) == there - {"data/api.js"}  # which asks TensorBoard
    assert len(names) == len(set(names))
    assert names[-1] == "report.js"
    parts = NAMES.split(bundle.script())
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        for needed in re.findall(r'modules\["([^"]+)"\];', body):
            assert names.index(needed) < names.index(name), (name, needed)


def test_a_form_of_import_or_export_that_is_not_known_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "STATIC", tmp_path)
    for line in ("export default 1;", 'import one from "./one.js";', 'const end = "</script>";'):
        (tmp_path / "report.js").write_text(f"// A page.\n{line}\n")
        with pytest.raises(ValueError, match=r"report\.js has an import"):
            bundle.script.__wrapped__()


def test_the_styles_are_those_of_the_tab_and_a_few_more():
    assert bundle.style().startswith((bundle.STATIC / "style.css").read_text())
    assert ".summary" in bundle.style()
    assert len(bundle.colours()["classes"]) == 10
