"""Each fault is told once; causes hide what they explain."""

import math

import pytest

from lightning_cnnviz.functional.diagnosis import diagnose
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG
from lightning_cnnviz.functional.diagnosis.diagnose import FindingHistory, observe
from lightning_cnnviz.functional.diagnosis.evidence import Evidence, GraphFacts, LossFacts, Setup
from lightning_cnnviz.functional.diagnosis.finding import Finding, Observation
from lightning_cnnviz.functional.diagnosis.rules import EXPLAINS, HARMLESS_TO_LEARNING

GROUPS = ("CAUSES", "CONSEQUENCES", "UNEXPLAINED", "SYMPTOMS")


def seeing(monkeypatch, **groups):
    """Has the rules of each group see these faults, and nothing else."""
    for group in GROUPS:
        rules = groups.get(group.lower(), ())
        monkeypatch.setattr(diagnose, group, [lambda _, rule=rule: [Observation(rule, "It is.", 1)] for rule in rules])
    return [one.rule for one in observe(Evidence())]


def test_nothing_is_seen_in_nothing():
    assert observe(Evidence()) == []
    assert observe(Evidence(Setup(), step=5000)) == []


def test_what_is_known_for_certain_is_seen_at_once():
    loss = LossFacts("cross_entropy", "classes", 3, True, "softmax", 0)
    seen = observe(Evidence(Setup(), loss_facts=[loss], graph=GraphFacts(3, True), step=1))
    assert [(one.rule, one.sure) for one in seen] == [
        ("softmax_before_loss", "certain"),
        ("no_nonlinearity", "certain"),
    ]


def test_a_cause_hides_consequences_and_symptoms(monkeypatch):
    everything = {"causes": ["wrong_loss"], "consequences": ["dead_units"], "symptoms": ["underfitting"]}
    assert seeing(monkeypatch, **everything) == ["wrong_loss"]
    del everything["causes"]
    assert seeing(monkeypatch, **everything) == ["dead_units"]
    del everything["consequences"]
    assert seeing(monkeypatch, **everything) == ["underfitting"]


@pytest.mark.parametrize("rule", sorted(HARMLESS_TO_LEARNING))
def test_what_keeps_no_network_from_learning_hides_no_consequence(rule, monkeypatch):
    assert set(seeing(monkeypatch, causes=[rule], consequences=["dead_units"])) == {rule, "dead_units"}


def test_a_fault_that_explains_another_is_told_alone(monkeypatch):
    for rule, explained in EXPLAINS.items():
        assert seeing(monkeypatch, causes=[*explained, rule])[0] == rule
        assert not set(explained) & set(seeing(monkeypatch, causes=[*explained, rule])) - {
            one for other in EXPLAINS for one in [other] if other == rule
        }


def test_all_are_in_the_order_of_the_catalogue(monkeypatch):
    rules = [one for one in reversed(CATALOG) if one not in EXPLAINS]
    explained = {one for hidden in EXPLAINS.values() for one in hidden}
    seen = seeing(monkeypatch, causes=[one for one in rules if one not in explained])
    assert seen == [one for one in CATALOG if one in seen]


# ---- history


def seen(rule="dead_units", since=20, layers=("relu1",), **more):
    return Observation(rule, f"Seen since {since}.", since, layers, **more)


def test_a_fault_is_told_once_and_its_layers_and_steps_grow():
    history = FindingHistory()
    assert [one.rule for one in history.update([seen()], 30)] == ["dead_units"]
    assert history.update([seen(since=10, layers=("relu2", "relu1"), numbers={"dead": 1.0})], 40) == []
    assert history.update([], 50) == []
    (found,) = history.findings
    assert (found.first_step, found.last_step, found.told_step) == (10, 40, 30)
    assert found.layers == ("relu1", "relu2")
    assert found.evidence == "Seen since 20."  # as it was told
    assert (found.title, found.advice, found.chart) == (
        CATALOG["dead_units"].title,
        CATALOG["dead_units"].advice,
        CATALOG["dead_units"].chart,
    )


def test_findings_come_with_the_probable_cause_first():
    history = FindingHistory()
    rules = list(CATALOG)
    for rule in (rules[-1], rules[0], rules[5]):
        history.update([seen(rule)], 10)
    assert [one.rule for one in history.findings] == [rules[0], rules[5], rules[-1]]


def test_a_history_goes_on_from_what_was_found():
    history = FindingHistory()
    history.update([seen()], 30)
    again = FindingHistory(Finding.from_dict(one.as_dict()) for one in history.findings)
    assert again.update([seen()], 60) == []
    assert [(one.told_step, one.last_step) for one in again.findings] == [(30, 60)]
    assert not math.isnan(again.findings[0].first_step)
