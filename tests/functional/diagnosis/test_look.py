"""What was not measured in a step speaks for no fault."""

import math

from lightning_cnnviz.functional.diagnosis.diagnose import observe
from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.look import LayerLook, Look


def test_of_steps_in_which_nothing_was_measured_nothing_is_found():
    unknown = LayerLook(std=1.0, dead=math.nan, saturated=math.nan, non_finite=0, variation=math.nan)
    looks = [Look(400), Look(410, layers={"conv1": unknown})]
    assert not observe(Evidence(step=500, looks=looks))
