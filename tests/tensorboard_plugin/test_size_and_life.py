"""What an open page downloads, keeps and gives up, and what it shows of a run that is resumed, anew or damaged."""

import shutil
import urllib.parse
from collections import Counter

import numpy as np
import pytest
from tensorboard_plugin.scenes import without
from tensorboard_plugin.synthetic_run import Run, record, write
from tensorboard_plugin.tab_page import Tab

from lightning_cnnviz.output.run_history import replacing

SCRIPTS = ["卷积层", "свёртка", "الطبقة", "कन्वोल्यूशन", "畳み込み層", "합성곱", "שכבה", "🦊"]


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def loader(request):
    return request.param


def asked(tab):
    """How often each frame was asked for, by tag, step and part: place, rows and names of arrays."""
    counts = Counter()
    for address in tab.addresses:
        url = urllib.parse.urlsplit(address)
        if url.path.endswith("/frames"):
            query = {name: value[0] for name, value in urllib.parse.parse_qs(url.query).items()}
            part = query.get("place", ""), query.get("rows", ""), query.get("arrays", "")
            counts.update((query["tag"], int(step), *part) for step in query["steps"].split(","))
    return counts


def polls(tab):
    return sum("/series?" in address for address in tab.addresses)


def cloud(run, steps, samples=3000):
    """Many frames of many points beside what is small."""
    rng = np.random.default_rng(0)
    names = {"layer": "fc", "method": "pca"}
    for step in steps:
        run.add("curves", "cnnviz/curves", step, points={"loss/train": [[step, step, 1 / step]]})
        arrays = {"values": np.full((1, 1), 1 / step, np.float32)}
        run.add("gradients", "cnnviz/gradients", step, arrays, layers=["fc"], statistics=["norm"], health=["ok"])
        points = rng.normal(size=(samples, 2)).astype(np.float32)
        arrays = {
            "points": points,
            "bounds": np.stack([points.min(0), points.max(0)]),
            "predicted": rng.integers(0, 10, samples).astype(np.int16),
        }
        run.add("projection", "cnnviz/projection/fc/pca", step, arrays, identity=names, **names)
    return run


def test_a_page_that_stands_still_downloads_what_it_shows_once(tab, start, tmp_path, loader, capsys):
    run = cloud(Run(tmp_path / "logs" / "run"), range(1, 301))
    sizes = []
    tab.context.on("requestfinished", lambda request: sizes.append(request) if "/frames" in request.url else None)
    tab.open(start(tmp_path / "logs", fast=loader).wait_for("run", 300), run="run").at(300)
    tab.page.wait_for_timeout(1000)
    counts, seen = asked(tab), polls(tab)
    shown = {tag for tag, *_ in counts}
    assert shown == {"cnnviz/curves", "cnnviz/gradients", "cnnviz/projection/fc/pca"}
    assert [step for tag, step, *part in counts if "projection" in tag and not any(part)] == [300]
    assert sorted(step for tag, step, *_ in counts if "gradients" in tag) == list(range(1, 301))
    assert set(counts.values()) == {1}
    tab.page.wait_for_timeout(7000)
    assert polls(tab) >= seen + 2
    assert asked(tab) == counts
    total = sum(request.sizes()["responseBodySize"] for request in sizes)
    with capsys.disabled():
        print(f"\n300 frames of 3,000 points, standing still: {len(sizes)} requests, {total / 1e3:.0f} kB, once")
    assert total < 200_000
    cloud(run, [301])
    tab.at(301)
    tab.page.wait_for_timeout(1000)
    bounds = {("cnnviz/projection/fc/pca", 301, "", "", "bounds"): 1}
    assert asked(tab) - counts == {(tag, 301, "", "", ""): 1 for tag in shown} | bounds
    run.close()


def test_what_is_played_is_asked_for_once(tab, start, tmp_path):
    cloud(Run(tmp_path / "logs" / "run"), range(1, 61)).close()
    tab.open(start(tmp_path / "logs", fast=True).wait_for("run", 60), run="run", step=1).at(1)
    tab.find(".transport select").select_option("16")
    tab.find(".play").click()
    tab.at(60)
    counts = asked(tab)
    whole = [step for tag, step, *part in counts if "projection" in tag and not any(part)]
    assert sorted(whole) == list(range(1, 61))
    assert set(counts.values()) == {1}
    requests = sum("projection" in address and address.endswith("arrays=") for address in tab.addresses)
    assert requests <= 60 / 5
    tab.page.mouse.click(*tab.mouse(".points", 300, 200))
    tab.find(".followed .row").wait_for()
    tab.page.wait_for_timeout(1000)
    past = [(step, rows) for tag, step, _, rows, names in asked(tab) if rows and names == "points,predicted"]
    assert sorted(step for step, _ in past) == list(range(1, 61))
    assert len({rows for _, rows in past}) == 1


def test_the_cache_of_the_page_is_bounded_by_bytes(tab, fast):
    tab.open(fast, run="lenet")
    script = """async () => {
      const { keepFrame, dropFrame } = await import("./static/data/frame_cache.js");
      const kept = new Set();
      const series = { drop(frame) { kept.delete(frame); dropFrame(frame); } };
      const frames = Array.from({ length: 500 }, (_, step) => ({ step, bytes: 2 ** 20 }));
      let most = 0;
      for (const frame of frames) {
        kept.add(frame);
        keepFrame(series, frame);
        keepFrame(series, frames[0]);  // it stays in use
        most = Math.max(most, kept.size);
      }
      return [most, kept.has(frames[0]), kept.has(frames[499]), kept.has(frames[1])];
    }"""
    most, first, last, second = tab.frame.evaluate(script)
    assert 300 < most <= 385
    assert (first, last, second) == (True, True, False)


def test_of_many_requests_the_oldest_are_given_up(tab, fast):
    tab.open(fast, run="lenet").at(1200)
    script = """async () => {
      const { frames } = await import("./static/data/api.js");
      const { SupersededError } = await import("./static/data/answer.js");
      const ask = (_, k) => frames("lenet", "cnnviz/kernels/conv1", [100 + k], { rows: [0] });
      const found = await Promise.allSettled(Array.from({ length: 200 }, ask));
      return found.map(({ reason }) => (reason instanceof SupersededError ? "given up" : (reason?.message ?? "here")));
    }"""
    found = tab.frame.evaluate(script)
    assert found == ["here"] * 4 + ["given up"] * 148 + ["here"] * 48


def test_the_page_keeps_the_frames_of_the_last_runs_only(tab, start, tmp_path):
    names = [f"run{number}" for number in range(6)]
    for name in names:
        write(tmp_path / "logs" / name, epochs=2, samples=50).close()
    tab.open(start(tmp_path / "logs", fast=True).wait_for(names[-1], 2), run=names[0]).at(200)

    def asked_anew(name):
        before = len(tab.addresses)
        tab.find(".bar select >> nth=0").select_option(name)
        tab.page.wait_for_timeout(1500)
        return any("/frames?" in address and f"run={name}&" in address for address in tab.addresses[before:])

    assert all(asked_anew(name) for name in names[1:])
    assert not asked_anew(names[3])
    assert asked_anew(names[0])


def kernel(tab):
    return tab.pixels(".sheet canvas")


def test_an_open_page_drops_the_frames_of_a_lost_training(tab, start, tmp_path, loader):
    first = write(tmp_path / "logs" / "run", epochs=6, epoch_list=[1, 2, 3, 4], samples=50)
    server = start(tmp_path / "logs", fast=loader).wait_for("run", 4)
    tab.open(server, run="run", layer="conv1", view="kernels", step=300, scale="own").at(300)
    lost = kernel(tab)
    tab.find("h2 >> nth=0").click()
    tab.page.keyboard.press("ArrowLeft")
    kept = kernel(tab.at(200))
    before = asked(tab)
    tags = [series["tag"] for series in server.get("series", run="run")["series"]]
    second = Run(tmp_path / "logs" / "run", start=first.time + 1000)
    for data in replacing(tags, 200):  # what the callbacks write when a run goes on
        second.file.write(record(data))
    write(None, epochs=6, epoch_list=[3], samples=50, run=second, seed=5)
    tab.frame.wait_for_function("document.querySelector('.slider').getAttribute('aria-valuemax') === '300'")
    assert np.array_equal(kernel(tab.at(200)), kept)
    tab.page.keyboard.press("ArrowRight")
    assert not np.array_equal(kernel(tab.at(300)), lost)
    again = asked(tab) - before
    assert {step for tag, step, *_ in again if not tag.endswith(("model", "samples"))} == {300}
    fresh = Tab(tab.context.browser)
    fresh.open(server, run="run", layer="conv1", view="kernels", step=300, scale="own").at(300)
    assert np.array_equal(kernel(fresh), kernel(tab))
    fresh.close()
    first.close()
    second.close()


def test_an_open_page_drops_the_frames_of_a_run_that_is_trained_anew(tab, start, tmp_path):
    write(tmp_path / "logs" / "run", epochs=3, samples=50).close()
    server = start(tmp_path / "logs", fast=True).wait_for("run", 3)
    tab.open(server, run="run", layer="conv1", view="kernels").at(300)
    old = kernel(tab)
    shutil.rmtree(tmp_path / "logs" / "run")
    run = Run(tmp_path / "logs" / "run", start=1_800_000_000)
    write(None, epochs=3, samples=50, run=run, seed=5).close()
    tab.page.wait_for_timeout(7000)
    assert not np.array_equal(kernel(tab.at(300)), old)


def test_a_frame_without_arrays_costs_itself_only(tab, start, tmp_path, loader):
    run = write(tmp_path / "logs" / "run", epochs=2, samples=50)
    tags = {
        "kernels/conv1": {"layer": "conv1"},
        "feature_maps/conv1": {"layer": "conv1"},
        "projection/fc2/tsne": {"layer": "fc2", "method": "tsne"},
        "gradients": {},
    }
    for tag, identity in tags.items():
        run.add(tag.split("/")[0], f"cnnviz/{tag}", 300, identity=identity)
    run.close()
    tab.open(start(tmp_path / "logs", fast=loader).wait_for("run", 3), run="run", layer="conv1").at(300)
    assert tab.words(".layer .hint") == "cnnviz/kernels/conv1 at step 300 is damaged: it has no values, low, high"
    assert "cnnviz/projection/fc2/tsne at step 300 is damaged: it has no points" in tab.words(".projection .hint")
    assert "cnnviz/gradients at step 300 is damaged: it has no values" in tab.words(".notes")
    tab.find("h2 >> nth=0").click()
    tab.page.keyboard.press("ArrowLeft")
    tab.at(200)
    assert tab.find(".sheet canvas >> nth=0").is_visible()
    assert not tab.find(".layer .hint").is_visible()


def test_a_frame_that_a_panel_cannot_draw_costs_no_other_panel(browser, start, tmp_path):
    run = write(tmp_path / "logs" / "run", epochs=2, samples=50)
    arrays = {
        "values": np.zeros((1, 5, 5), np.float32),
        "low": np.zeros(1, np.float32),
        "high": np.zeros(1, np.float32),
    }
    run.add("kernels", "cnnviz/kernels/conv1", 300, arrays, identity={"layer": "conv1"}, channels=7)
    run.close()
    tab = Tab(browser)
    tab.open(start(tmp_path / "logs", fast=True).wait_for("run", 3), run="run", layer="conv1", view="kernels").at(300)
    assert "Layer cannot be drawn: " in tab.words(".notes")
    assert points_on(tab) > 20
    tab.find("h2 >> nth=0").click()
    tab.page.keyboard.press("ArrowLeft")
    tab.at(200)
    assert "cannot be drawn" not in tab.words("body")
    assert tab.complaints
    tab.complaints.clear()  # each of them is about that frame
    tab.close()


def points_on(tab):
    picture = tab.pixels(".points")[..., :3].astype(int)
    return (np.abs(picture - picture[0, 0]).sum(-1) > 60).sum()


def test_names_in_any_script_beside_a_run_without_our_data(tab, start, tmp_path, loader):
    layers = [(name, 4, 14, 1) for name in SCRIPTS]
    shown = {"layers": layers, "hidden": (), "projected": SCRIPTS[:2], "classes": SCRIPTS}
    write(tmp_path / "logs" / "данные 数据", epochs=2, samples=80, **shown).close()
    without(tmp_path / "logs" / "bare")
    server = start(tmp_path / "logs", fast=loader).wait_for("данные 数据", 2)
    tab.open(server, run="bare").at(200)  # which has nothing to show
    assert tab.find(".bar select >> nth=0").locator("option").all_inner_texts() == ["данные 数据"]
    assert tab.find(".block b").all_inner_texts() == SCRIPTS
    assert tab.find(".classes .chip").all_inner_texts() == SCRIPTS
    for index in range(len(SCRIPTS)):
        tab.find(f".block >> nth={index}").click()
        tab.find(".layer .sheet canvas >> nth=0").wait_for()
    tab.page.wait_for_timeout(500)
    assert f"p.cnnviz.layer={SCRIPTS[-1]}&" in urllib.parse.unquote(tab.page.url)
    assert not tab.find(".layer .hint").is_visible()
