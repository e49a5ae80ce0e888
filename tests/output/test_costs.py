"""What callbacks cost: measured and told."""

import re

import pytest
from helpers.costly import Slow
from helpers.tiny import events, fit, image_steps, scalars

from lightning_cnnviz import KernelGrid, LossAccuracy
from lightning_cnnviz.output.costs import Ledger


def test_the_cost_of_a_picture_is_the_time_it_took_on_the_training_thread(tmp_path):
    fit(tmp_path, [Slow()], max_epochs=3)
    milliseconds = [value for _, value in scalars(tmp_path, "cnnviz/cost/Slow")]
    assert len(milliseconds) == 3
    assert all(200 <= value < 5000 for value in milliseconds)
    shares = [value for _, value in scalars(tmp_path, "cnnviz/cost_share/Slow")]
    assert all(0 < share <= 1 for share in shares)


def test_one_table_says_what_it_all_cost(tmp_path, told):
    fit(tmp_path, [Slow(), LossAccuracy(), KernelGrid(tag="again"), KernelGrid()])
    (table,) = re.findall(r"callback +pictures +ms/step.*?total[^\n]*", told(), re.DOTALL)
    rows = {row.split()[0]: row.split()[1:] for row in table.splitlines()}
    assert set(rows) == {"callback", "Slow", "LossAccuracy", "KernelGrid", "KernelGrid-2", "total"}
    assert list(rows)[1] == "Slow"  # the costliest comes first
    pictures = {name: int(cells[0]) for name, cells in rows.items() if name != "callback"}
    steps = image_steps(tmp_path)
    assert pictures["KernelGrid"] == sum(len(steps[tag]) for tag in steps if tag.startswith("again/"))
    assert pictures["total"] == sum(map(len, steps.values()))
    logged = sum(value for _, value in scalars(tmp_path, "cnnviz/cost/Slow"))
    assert float(rows["Slow"][1]) == pytest.approx(logged / 12, rel=0.2)  # beside it what came before the first step
    encoded = sum(len(event.encoded_image_string) for tag in steps for event in events(tmp_path).Images(tag))
    assert 0 <= float(rows["total"][3]) - encoded / 1e6 < 0.05


def test_without_a_step_there_is_no_table():
    ledger = Ledger()
    ledger.open("KernelGrid")
    ledger.begin(5)
    ledger.end(5)
    assert ledger.table() == ""
