"""What is not known before the first step speaks for no fault."""

from lightning_cnnviz.functional.diagnosis.diagnose import observe
from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.setup import Setup


def test_of_a_run_of_which_nothing_is_known_nothing_is_found():
    assert not observe(Evidence(setup=Setup(), step=500))
