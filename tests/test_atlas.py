"""The fault atlas has a page for each rule, which says what the rule says."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.diagnosis.atlas import CASES
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG
from lightning_cnnviz.functional.diagnosis.finding import Finding

PAGES = Path(__file__).resolve().parents[1] / "docs" / "atlas"
RUNS = json.loads((PAGES / "runs.json").read_text(encoding="utf-8"))


def read(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def of_a_line(text):
    return re.sub(r"\s*\n>? *", " ", text).strip()


def percent(share):
    return f"{100 * share:.0f} %"


def test_each_rule_has_a_page_a_run_and_a_small_picture_and_there_is_nothing_else():
    assert {path.name for path in PAGES.iterdir()} == {
        *(f"{rule}{suffix}" for rule in CATALOG for suffix in (".md", ".webp")),
        *("index.md", "runs.json"),
    }
    assert list(RUNS) == list(CATALOG)
    assert set(CASES) == set(CATALOG)
    assert max(path.stat().st_size for path in PAGES.glob("*.webp")) <= 45_000


@pytest.mark.parametrize("rule", CATALOG)
def test_a_page_says_what_the_catalog_and_the_run_say(rule):
    page, fault, run = read(rule), CATALOG[rule], RUNS[rule]
    assert run["case"] == CASES[rule]
    (told,) = [finding for finding in run["findings"] if finding["rule"] == rule]
    (title,) = re.findall(r"^# (.+)$", page.split("```")[0], re.MULTILINE)
    assert title == f"{fault.title[0].upper()}{fault.title[1:]}"
    assert f"```{{image}} {rule}.webp\n" in page
    (quote,) = re.findall(r"^> .*(?:\n> .*)*", page, re.MULTILINE)
    assert of_a_line(quote.removeprefix("> ")) == Finding.from_dict(told).sentence()
    assert told["advice"] == fault.advice  # as the run says what the rules say today
    assert f"at step {told['told_step']}" in page
    assert page.endswith(f"Rule `{rule}`, chart `{fault.chart}`. Source: {fault.source}.\n")
    caption = of_a_line(re.search(r"^\*[^*].*?\*$", page, re.MULTILINE | re.DOTALL)[0])
    assert f"Validation accuracy after {run['steps']} steps: {percent(run['val_acc'])}" in caption
    for share in re.findall(r"without the fault (\d+ %)", caption):
        assert share == percent(run["without"])


def test_the_index_lists_the_rules_as_the_catalog_does():
    rows = re.findall(r"^\| \{doc\}`(\w+) <(\w+)>` \| (.+?) \| (.+?) \| `(.+?)` \|$", read("index"), re.MULTILINE)
    assert [row[0] for row in rows] == list(CATALOG)
    for rule, page, title, sure, chart in rows:
        assert (page, title, chart) == (rule, CATALOG[rule].title, CATALOG[rule].chart)
        seen = {finding["sure"] for finding in RUNS[rule]["findings"] if finding["rule"] == rule}
        assert sure == "either" or seen == {sure}
