"""Evidence as a run would give it, made by hand."""

import math
from dataclasses import replace

import numpy as np

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.look import LayerLook, Look
from lightning_cnnviz.functional.diagnosis.score_look import ScoreLook
from lightning_cnnviz.functional.diagnosis.setup import Setup
from lightning_cnnviz.model.loss_facts import LossFacts
from lightning_cnnviz.model.training_setup import LayerSetup

CLASSES = 10
LAYER = LayerSetup("Conv2d", trainable=True, optimized=True, units=16, scale=0.4, constant=False, untrained=True)
ROW = {"norm": 0.1, "weight_norm": 1.0, "update_ratio": 1e-3, "zero_share": 0.0, "max_abs": 0.1}
GOOD = LayerLook(std=1.0, dead=0.0, saturated=math.nan, non_finite=0, variation=1.0)
FACTS = LossFacts("cross_entropy", "classes", CLASSES, True, "", 0)
NAMES = ("conv1", "conv2", "fc1", "fc2")


def scores(step, loss, accuracy=None, *, samples=64, rank=0.1, true=None, predicted=None, classes=CLASSES, **inputs):
    """Scores of samples that have this cross-entropy each; mistakes are other classes in turn."""
    true = np.arange(samples) % classes if true is None else np.asarray(true)
    if predicted is None:
        share = math.exp(-loss) if accuracy is None else accuracy
        wrong = np.arange(len(true)) >= round(share * len(true))
        other = (true + 1 + np.arange(len(true)) // classes % max(classes - 1, 1)) % classes
        predicted = np.where(wrong, other, true)
    predicted = np.asarray(predicted)
    ranks = np.where(predicted != true, rank, math.nan)
    means, deviations = (np.full(1, inputs.get(name, usual)) for name, usual in (("mean", 0.0), ("std", 1.0)))
    losses = np.full(len(true), float(loss))
    return ScoreLook(step, classes, true, predicted, losses, ranks, means, deviations, inputs.get("roughness", 0.5))


def look(step, **changes):
    """A step with nothing remarkable."""
    return replace(
        Look(
            step,
            gradients={name: dict(ROW) for name in NAMES},
            total_norm=1.0,
            layers=dict.fromkeys(NAMES, GOOD),
            learning_rates=(0.01,),
            received=(-1.0, 3.0, 0.0, 1.0),
            samples=64,
        ),
        **changes,
    )


def run(loss=0.2, *, steps=300, start=2.3, setup=None, looks=None, vals=None, train=None, **changes):
    """A run whose cross-entropy falls to this one; all else is as in a healthy run, but for what is given."""
    at = np.arange(1, steps + 1)
    losses = loss + (start - loss) * np.exp(-at / 40) + 0.01 * np.sin(at)
    if train is None:
        train = [scores(step, losses[step - 1]) for step in range(5, steps + 1, 5)]
    if vals is None:
        vals = [scores(step, losses[step - 1] + 0.05, samples=200) for step in range(100, steps + 1, 100)]
    steps_looked_at = [step for step in (1, 2, 4, 9, 17, 33, 65, 101, 200, 300) if step <= steps]
    return Evidence(
        setup=Setup(
            **{"layers": dict.fromkeys(NAMES, LAYER), "batch_size": 64, "planned_steps": steps, **(setup or {})}
        ),
        **{
            "step": steps,
            "losses": losses,
            "loss_steps": at,
            "looks": [look(step) for step in steps_looked_at] if looks is None else looks,
            "scores": train,
            "validations": vals,
            "loss_facts": [FACTS],
            **changes,
        },
    )


def stuck(**options):
    """A run whose cross-entropy stays that of chance."""
    return run(**{"loss": math.log(CLASSES), "start": math.log(CLASSES), **options})


def looks_with(**changes):
    """Looks that are all changed in the same way."""
    return [look(step, **changes) for step in (1, 2, 4, 9, 17, 33, 65, 101, 200, 300)]
