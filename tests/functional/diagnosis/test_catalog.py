"""Every rule has its entry, and every entry says something."""

import re
from pathlib import Path

import lightning_cnnviz.functional.diagnosis.rules as rules
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG


def test_every_fault_that_a_rule_can_see_is_in_the_catalogue_and_no_other():
    sources = [path.read_text(encoding="utf-8") for path in Path(rules.__file__).parent.glob("*.py")]
    named = set(re.findall(r'"([a-z]+(?:_[a-z]+)+|leakage|overfitting|underfitting|bottleneck)"', "\n".join(sources)))
    assert set(CATALOG) <= named, "faults that no rule sees"
    known = {one for hidden in rules.EXPLAINS.values() for one in hidden} | set(rules.EXPLAINS)
    assert known | rules.HARMLESS_TO_LEARNING <= set(CATALOG)


def test_every_fault_has_a_title_an_advice_a_chart_and_a_source():
    for rule, fault in CATALOG.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", rule)
        assert fault.title
        assert not fault.title.endswith(".")
        assert fault.advice.endswith((".", ")"))
        assert fault.source
    assert len({fault.title for fault in CATALOG.values()}) == len(CATALOG)
