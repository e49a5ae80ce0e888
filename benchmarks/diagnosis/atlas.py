"""Runs and pictures of the fault atlas in the documentation: `python -m benchmarks.diagnosis.atlas runs/atlas`.

Trains a run of the benchmark for each rule, watched by the standard set, writes what `Diagnosis` says of it into
`docs/atlas/runs.json`, which the pages quote, and photographs the CNN Viz tab as Chromium shows it. A run whose folder
is there is not repeated. Pages are written by hand; `tests/test_atlas.py` tells which do not agree with their run.
"""

import argparse
import io
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from benchmarks.diagnosis.cases import GOOD, Case, cases
from benchmarks.diagnosis.run import run
from benchmarks.diagnosis.training import Run, setup
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG
from tests.tensorboard_plugin.server import Server
from tests.tensorboard_plugin.tab_page import ARGUMENTS, Tab

PAGES = Path(__file__).parents[2] / "docs" / "atlas"
KEPT = ("case", "network", "data", "steps", "loss_before", "loss_after", "train_acc", "val_acc", "findings")
"""What `runs.json` has of a run."""
BAR, GAP = 65, 10
"""Pixels: the height of TensorBoard's own bar, and what is between the parts of a picture."""
WIDTH, HEIGHT = 1000, 800
"""Pixels of the window: a picture has the width of a page, so that it can be read there."""
CASES = {
    "half_precision_overflow": "half-precision overflow/features_too_large_for_halves/10000/lenet/digits/0",
    "half_precision_underflow": "half-precision underflow/loss_too_small_for_halves/1e-07/lenet/digits/0",
    "softmax_before_loss": "softmax before a loss that applies one/softmax_layer/-/lenet/digits/0",
    "wrong_loss": "wrong loss for the task/likelihood_of_raw_scores/-/lenet/digits/0",
    "no_nonlinearity": "network without nonlinearity/activation_functions_left_out/-/lenet/digits/1",
    "gradients_not_cleared": "gradients not cleared/zero_grad_does_nothing/-/lenet/digits/0",
    "layers_in_evaluation_mode": "layers left in evaluation mode/eval_in_the_training_step/-/lenet/digits/1",
    "batch_norm_of_one": "batch size of one under batch normalisation/batch_of_one/-/lenet/fashion/1",
    "inputs_not_normalized": "inputs not normalised/from_0_to_255/-/lenet/mnist/0",
    "bad_initialization": "bad initialisation/all_weights_equal/0/lenet/digits/0",
    "layer_not_trained": "layer that learns nothing/detached/-/lenet/digits/0",
    "sorted_batches": "batches sorted by class/sorted_by_class/-/lenet/digits/1",
    "not_shuffled": "no shuffling/same_order_in_each_epoch/-/lenet/fashion/0",
    "class_imbalance": "classes imbalanced beyond use/one_class_is_rare/0.005/lenet/mnist/0",
    "leakage": "training data in the validation set/split_after_oversampling/-/lenet/digits/0",
    "preprocessing_differs": "preprocessing that differs in validation/validation_cropped/-/lenet/mnist/0",
    "augmentation_destroys_labels": "augmentation that destroys the label/crops_of_nothing/8/lenet/mnist/0",
    "labels_shifted": "labels shifted/folders_in_another_order/-/lenet/mnist/0",
    "momentum_too_high": "unstable momentum/momentum/0.9995/lenet/digits/0",
    "weight_decay_too_strong": "weight decay too strong/decoupled/30/lenet/mnist/0",
    "dropout_too_strong": "dropout too strong/dropout/0.9/lenet/fashion/0",
    "schedule_ends_early": "schedule that ends early/epochs_taken_for_steps/10/lenet/fashion/0",
    "exploding_gradients": "exploding gradients/recurrence_grows_the_signal/3/lenet/digits/0",
    "learning_rate_too_high": "learning rate far too high/learning_rate_multiplied/30/lenet/mnist/0",
    "non_finite": "NaN and infinity/divided_by_a_deviation_of_nothing/-/lenet/digits/0",
    "bottleneck": "under-fitting/too_few_features/1/lenet/mnist/0",
    "saturated_activations": "bottleneck that lets nothing through/one_saturated_feature/-/resnet/digits/0",
    "dead_units": "dead ReLUs/bias_far_below_zero/30/lenet/fashion/0",
    "vanishing_gradients": "vanishing gradients/sigmoids_eight_layers_deep/-/vgg/digits/0",
    "clipping_every_step": "clipping that clips every step/gradient_clip_val/0.001/lenet/digits/0",
    "learning_rate_too_low": "learning rate far too low/learning_rate_divided/1e-05/lenet/mnist/0",
    "normalization_statistics": (
        "normalisation statistics that do not fit in evaluation/momentum_of_the_statistics/0.0001/lenet/digits/0"
    ),
    "labels_do_not_fit": "labels shuffled or partly wrong/shuffled/-/resnet/digits/0",
    "overfitting": "over-fitting/few_images/100/vgg/digits/0",
    "one_class_predicted": "one class predicted always/bias_of_one_class/300/lenet/digits/0",
    "underfitting": "under-fitting/brightness_alone/-/lenet/fashion/0",
    "loss_does_not_fall": "loss that does not move/loss_times_nothing/-/lenet/mnist/0",
}
"""Rule → the run that its page shows."""


def brightness_alone() -> Run:
    """A network that sees the mean of an image only, trained until it gets no better."""
    made = setup("lenet", "fashion")
    made.network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 10))
    made.epochs, made.settings["lr"] = 6, 0.01
    return made.run()


def case_of(rule: str) -> Case:
    """The run of a rule: one of the benchmark, but for under-fitting, which has none that is told as that."""
    name = CASES[rule]
    if name in cases():
        return cases()[name]
    kind, variant, _, network, data, seed = name.split("/")
    return Case(name, kind, variant, "", network, data, int(seed), (rule,), brightness_alone)


def train(rule: str, folder: Path) -> dict[str, Any]:
    """Trains the run of a rule, and the same without the fault.

    Args:
        rule: A key of `CASES`.
        folder: Keeps what is logged.

    Raises:
        RuntimeError: If the rule was not told.
    """
    case = case_of(rule)
    found = run(case, standard=True, folder=folder)
    if not any(finding["rule"] == rule for finding in found["findings"]):
        raise RuntimeError(f"expected {case.name} to show {rule}, got {[one['rule'] for one in found['findings']]}")
    return {name: found[name] for name in KEPT} | {"without": accuracy_without_fault(case.network, case.data)}


@cache
def accuracy_without_fault(network: str, data: str) -> float:
    """The validation accuracy of the benchmark's own run of a network."""
    found = run(cases()[f"{GOOD}/as it comes/{network}/{data}/0"])["val_acc"]
    return float(found)


def photograph(tab: Tab, server: Server, rule: str) -> Image.Image:
    """Returns the time axis, the findings and the network of a run, at its last step and with its finding open."""
    tab.open(server.wait_for(rule, 1), run=rule)
    title = CATALOG[rule].title
    details = tab.find(f".findings details:has(b:text-is('{title[0].upper()}{title[1:]}'))")
    details.wait_for()
    for one in tab.find(".findings details[open]").all():
        one.locator("summary").click()
    details.locator("summary").click()
    tab.page.mouse.move(WIDTH - 2, HEIGHT - 2)
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.wait_for_timeout(1500)
    whole = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
    axis, findings, network = (tab.box(place) for place in (".timeline", ".findings", ".network"))
    bands = [(BAR, axis["y"] + axis["height"])]
    bands += [(box["y"], min(box["y"] + box["height"], whole.height)) for box in (findings, network)]
    parts = [np.asarray(whole)[round(top) : round(bottom)] for top, bottom in bands]
    gap = np.broadcast_to(np.uint8([244, 246, 249]), (GAP, whole.width, 3))
    return Image.fromarray(np.concatenate([parts[0], gap, parts[1], gap, parts[2]]))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.diagnosis.atlas",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="keeps the logs of the runs")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="RULE", default=list(CASES))
    arguments = parser.parse_args()
    PAGES.mkdir(exist_ok=True)
    file = PAGES / "runs.json"
    runs = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for rule in arguments.only:
        if not (arguments.folder / rule).exists() or runs.get(rule, {}).get("case") != CASES[rule]:
            shutil.rmtree(arguments.folder / rule, ignore_errors=True)
            runs[rule] = train(rule, arguments.folder / rule)
            ordered = {name: runs[name] for name in CATALOG if name in runs}
            file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    from playwright.sync_api import sync_playwright

    server = Server(arguments.folder, fast=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            for rule in arguments.only:
                tab = Tab(browser, width=WIDTH, height=HEIGHT)
                picture = photograph(tab, server, rule)
                picture.save(PAGES / f"{rule}.webp", lossless=True, quality=100, method=6)
                tab.close()
            browser.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
