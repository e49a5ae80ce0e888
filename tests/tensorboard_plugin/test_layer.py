"""The layer panel: weights and activations of linear layers, and one colour scale where pictures are compared."""

import re

import numpy as np
import pytest
from matplotlib import colormaps
from tensorboard_plugin.synthetic_run import CLASSES, Run, read
from tensorboard_plugin.tab_page import share_drawn

STEPS = {"lenet": range(100, 1201, 100), "lenet_other": range(150, 1351, 150)}


def every(folder, run, tag, name="values"):
    return np.stack([read(folder / run, tag, step)[name].astype(float) for step in STEPS[run]])


def scale(tab, view=0):
    """The end of the colour bar, as a number."""
    tab.page.wait_for_timeout(400)
    return float(tab.find(".layer .scale").nth(view).inner_text().split("\n")[-1].strip())


def first_kernel(tab, view=0):
    """The middle of each weight of the first kernel of conv1, RGB."""
    picture = tab.pixels(f".view >> nth={view} >> .sheet:not([hidden]) canvas").astype(float)
    side = (np.abs(picture[2:, 2:, 3] - 255) > 0).argmax(axis=1)[0] / 5  # up to the gap beside the kernel
    places = (2 + (np.arange(5) + 0.5) * side).astype(int)
    return picture[np.ix_(places, places)][..., :3]


def colours(values, largest):
    return colormaps["RdBu_r"](values / largest / 2 + 0.5)[..., :3] * 255


def test_all_steps_have_one_scale_or_each_its_own(tab, server, folder):
    kernels = every(folder, "lenet", "cnnviz/kernels/conv1")
    tab.open(server, run="lenet", layer="conv1", view="kernels", step=100).at(100)
    assert scale(tab) == pytest.approx(abs(kernels).max(), rel=2e-3)
    np.testing.assert_allclose(first_kernel(tab), colours(kernels[0, 0], abs(kernels).max()), atol=8)
    tab.find("select[title='One scale for']").select_option("own")
    assert scale(tab) == pytest.approx(abs(kernels[0]).max(), rel=2e-3)
    np.testing.assert_allclose(first_kernel(tab), colours(kernels[0, 0], abs(kernels[0]).max()), atol=8)
    tab.page.wait_for_timeout(400)
    assert "p.cnnviz.scale=own" in tab.page.url


def test_two_runs_have_one_scale(tab, fast, folder):
    left, right = (every(folder, run, "cnnviz/kernels/conv1") for run in STEPS)
    tab.open(fast, run="lenet", compare="lenet_other", layer="conv1", view="kernels").at(1350)
    largest = max(abs(left).max(), abs(right).max())
    assert scale(tab, 0) == scale(tab, 1) == pytest.approx(largest, rel=2e-3)
    np.testing.assert_allclose(first_kernel(tab, 0), colours(left[-1, 0], largest), atol=8)
    np.testing.assert_allclose(first_kernel(tab, 1), colours(right[-1, 0], largest), atol=8)
    gradients = np.concatenate([every(folder, run, "cnnviz/gradients")[:, :, 0] for run in STEPS])
    for view in (0, 1):
        ends = re.findall(r"[\d.]+(?:e[−\d]+)?", tab.find(".gradients .scale").nth(view).inner_text())
        found = [float(end.replace("−", "-")) for end in ends]
        assert found == pytest.approx([gradients.min(), gradients.max()], rel=0.02)
    tab.find("select[title='One scale for']").select_option("own")
    assert scale(tab, 0) == pytest.approx(abs(left[-1]).max(), rel=2e-3)
    assert scale(tab, 1) == pytest.approx(abs(right[-1]).max(), rel=2e-3)


def test_the_weights_of_a_linear_layer_are_a_matrix(tab, fast, folder):
    matrices = every(folder, "lenet", "cnnviz/weights/fc1")
    tab.open(fast, run="lenet", layer="fc1").at(1200)
    assert tab.find(".layer .segments button").all_inner_texts() == ["Weights", "Activations"]
    assert scale(tab) == pytest.approx(abs(matrices).max(), rel=2e-3)
    box = tab.box(".sheet:not([hidden]) canvas")
    picture = tab.pixels(".sheet:not([hidden]) canvas").astype(float)
    rows, columns = matrices.shape[1:]
    y = 16 + (np.arange(rows) + 0.5) * (box["height"] - 20) / rows
    x = 34 + (np.arange(columns) + 0.5) * (box["width"] - 38) / columns
    found = picture[np.ix_(y.astype(int), x.astype(int))][..., :3]
    away = np.abs(found - colours(matrices[-1], abs(matrices).max())).max(-1)
    assert (away[2:-2, 1:-1] < 12).mean() > 0.97  # a row is 2.5 pixels high
    tab.page.mouse.move(*tab.mouse(".sheet:not([hidden]) canvas", x[7], y[33]))
    told = tab.words(".tooltip").splitlines()
    assert told[0] == "unit 33, input 7"
    assert float(told[1].removeprefix("weight ").replace("−", "-")) == pytest.approx(matrices[-1, 33, 7], rel=0.01)
    record = read(folder / "lenet", "cnnviz/weights/fc1", 1200)
    ends = tab.words(".layer .foot .info").replace("−", "-").split("all weights ")[1].split(" · ")[0].split(" … ")
    assert [float(end) for end in ends] == pytest.approx([record["low"][33], record["high"][33]], rel=0.01)


def test_the_activations_of_a_linear_layer_are_bars(tab, fast, folder):
    low = every(folder, "lenet", "cnnviz/feature_maps/fc1", "low")[..., :]
    tab.open(fast, run="lenet", layer="fc1", view="feature_maps", sample=2).at(1200)
    largest = abs(low).max()
    assert scale(tab) == pytest.approx(largest, rel=0.01)
    picture = tab.pixels(".sheet:not([hidden]) canvas").astype(int)
    step = (picture.shape[1] - 52) / low.shape[2]
    coloured = np.ptp(picture[:-22, :, :3], axis=2) > 60  # above the numbers, which some browsers draw in colours
    for unit, value in enumerate(low[-1, 2]):
        (rows,) = np.nonzero(coloured[:, int(48 + unit * step + min(step, 2) / 2)])
        expected = abs(value) / largest / 2 * (picture.shape[0] - 30)
        assert abs(len(rows) - expected) <= 2, unit
        assert not len(rows) or (rows.mean() < 8 + (picture.shape[0] - 30) / 2) == (value > 0)


def test_samples_carry_their_true_and_their_predicted_class(tab, fast, folder):
    targets = read(folder / "lenet", "cnnviz/samples", 100)["targets"]
    for step in (100, 1200):
        tab.open(fast, run="lenet", layer="conv1", view="feature_maps", step=step).at(step)
        guessed = read(folder / "lenet", "cnnviz/feature_maps/conv1", step)["info"]["predicted"]
        expected = [
            f"sample #{k}: true {CLASSES[targets[k]]}, predicted {CLASSES[guess]}" for k, guess in enumerate(guessed)
        ]
        buttons = tab.find(".samples button")
        assert [buttons.nth(k).get_attribute("title") for k in range(6)] == expected
        signs = ["✓" if targets[k] == guess else "✗" for k, guess in enumerate(guessed)]
        assert [text.split("\n")[-1] for text in buttons.all_inner_texts()] == [
            f"{sign} {CLASSES[guess]}" for sign, guess in zip(signs, guessed, strict=True)
        ]


def test_ranges_are_asked_for_once_and_frames_only_where_they_are_shown(tab, fast):
    tab.open(fast, run="lenet", layer="conv1", view="kernels").at(1200)
    tab.page.wait_for_timeout(1500)

    def asked():
        return [address for address in tab.addresses if "/frames?" in address and "kernels%2Fconv1" in address]

    before = asked()
    ranges = [address for address in before if "arrays=low%2Chigh" in address]
    assert len(ranges) == 1
    assert all(str(step) in ranges[0] for step in STEPS["lenet"])
    assert len(before) == 3  # the frame that is shown, the ranges, and the strip of one channel
    tab.page.wait_for_timeout(7000)  # two polls
    assert asked() == before


def test_the_projection_stays_where_it_is_through_time(tab, fast, folder):
    tag = "cnnviz/projection/fc2/tsne"
    for scale, steps in (("", STEPS["lenet"]), ("own", [100])):
        tab.open(fast, run="lenet", step=100, scale=scale).at(100)
        tab.page.wait_for_timeout(800)
        assert share_drawn(tab, folder / "lenet", tag, steps, 100) > 0.98


def test_the_projections_of_two_runs_have_one_scale(tab, start, tmp_path):
    size = {"small": 1.0, "large": 4.0}
    for name, end in size.items():
        run = Run(tmp_path / "logs" / name)
        points = np.array([[-end, 0], [end, 0]], np.float32)
        run.add("projection", "cnnviz/projection/fc/pca", 1, {"points": points}, layer="fc", method="pca",
                identity={"layer": "fc", "method": "pca"})  # fmt: skip
        run.close()
    server = start(tmp_path / "logs", fast=True).wait_for("small", 1).wait_for("large", 1)
    tab.open(server, run="small", compare="large").at(1)

    def extents():
        """The distance of the two points, of each run."""
        tab.page.wait_for_timeout(500)
        pictures = [tab.pixels(f".view >> nth={view} >> .points").astype(int) for view in (0, 1)]
        return [np.ptp(np.flatnonzero((np.abs(one[..., :3] - one[0, 0, :3]).sum(-1) > 60).any(0))) for one in pictures]

    small, large = extents()
    assert large == pytest.approx(4 * small, rel=0.1)
    tab.find("select[title='One scale for']").select_option("own")
    assert extents() == [large, large]
