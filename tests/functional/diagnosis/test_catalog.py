"""The catalogue of faults."""

import inspect

import pytest

from lightning_cnnviz.functional.diagnosis import rules
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG


@pytest.mark.parametrize("rule", CATALOG)
def test_every_fault_has_words_and_a_rule_that_tells_it(rule):
    assert all(CATALOG[rule])
    modules = [vars(rules)[name] for name in vars(rules) if inspect.ismodule(vars(rules)[name])]
    assert any(f'"{rule}"' in inspect.getsource(module) for module in modules)


def test_what_is_said_of_rules_is_said_of_faults():
    assert set(CATALOG) >= rules.HARMLESS_TO_LEARNING
    assert set(CATALOG) >= set(rules.EXPLAINS)
    assert all(set(CATALOG) >= explained for explained in rules.EXPLAINS.values())
