"""The tab's backend with TensorBoard's own data providers, without a browser."""

import argparse
import json
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins.base_plugin import TBContext, TBLoader
from tensorboard_plugin.scenes import corrupt, foreign, lenet, plane, single, thousand
from tensorboard_plugin.synthetic_run import Run, write
from werkzeug.test import Client

from lightning_cnnviz.tensorboard_plugin import plugin as plugin_module
from lightning_cnnviz.tensorboard_plugin.frames import BrokenFrameError, decode, pack
from lightning_cnnviz.tensorboard_plugin.loader import CNNVizLoader
from lightning_cnnviz.tensorboard_plugin.plugin import CNNVizPlugin
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex


def provider(folder):
    """What TensorBoard gives to plugins, with its loader in Python having read a log directory."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"cnnviz": 0})
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    found = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    return TBContext(data_provider=found, multiplexer=multiplexer, logdir=str(folder))


def ask(reads, route, **query):
    plugin = CNNVizPlugin(reads)
    apps = plugin.get_plugin_apps()
    app = apps.get(route) or apps["/static/*"]
    return Client(app).get(route, query_string=query)


def unpacked(answer):
    """The frames of a binary answer, read as the documentation of `pack` says."""
    size = int.from_bytes(answer[:4], "little")
    found, info = {}, {}
    for entry in json.loads(answer[4 : 4 + size]):
        arrays = {}
        if "info" in entry:
            info = entry["info"] | {key: info[key] for key in entry["same"]}
        for array in entry.get("arrays", []):
            start = 4 + size + array["at"]
            count = int(np.prod(array["shape"]))
            assert start % 8 == 0
            arrays[array["name"]] = np.frombuffer(answer, array["dtype"], count, start).reshape(array["shape"])
        found[entry["step"]] = arrays or entry.get("error") or info
    return found


def test_loading_it_loads_neither_torch_nor_lightning_nor_matplotlib():
    code = (
        "import sys, lightning_cnnviz.tensorboard_plugin.plugin; print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=120, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "tensorboard" in loaded
    assert not loaded & {"torch", "pytorch_lightning", "lightning_fabric", "matplotlib", "tensorflow"}


def test_a_backend_that_cannot_be_loaded_leaves_tensorboard_alive(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_cnnviz.tensorboard_plugin.plugin", None)
    assert issubclass(CNNVizLoader, TBLoader)
    with pytest.raises(ImportError):  # TensorBoard catches what `load` raises, and goes on without the tab
        CNNVizLoader().load(SimpleNamespace(data_provider=object()))
    assert CNNVizLoader().load(SimpleNamespace(data_provider=None)) is None


@pytest.mark.parametrize(("given", "kept"), [({}, 1), ({"cnnviz": 7}, 7), ({"images": 3}, 1)])
def test_tensorboard_itself_keeps_a_single_step_unless_the_user_wants_more(given, kept):
    flags = argparse.Namespace(samples_per_plugin=dict(given))
    CNNVizLoader().fix_flags(flags)
    assert flags.samples_per_plugin == {**given, "cnnviz": kept}
    CNNVizLoader().fix_flags(argparse.Namespace())


def test_series_of_a_run_and_runs_without_any(tmp_path):
    lenet(tmp_path / "a")
    (tmp_path / "b").mkdir()
    Run(tmp_path / "b").close()
    reads = provider(tmp_path)
    runs = ask(reads, "/runs").json
    assert [run["name"] for run in runs["runs"]] == ["a"]
    assert runs["others"] == ["b"]
    answer = ask(reads, "/series", run="a").json
    steps = {series["tag"]: answer["timelines"][series["timeline"]] for series in answer["series"]}
    assert steps["cnnviz/gradients"] == [100 * epoch for epoch in range(1, 13)]
    assert steps["cnnviz/model"] == [100]
    tsne = next(series for series in answer["series"] if series["tag"] == "cnnviz/projection/fc2/tsne")
    assert (tsne["kind"], tsne["layer"], tsne["method"]) == ("projection", "fc2", "tsne")
    assert ask(reads, "/series", run="a", known=answer["digest"]).json == {"digest": answer["digest"]}
    assert ask(reads, "/series", run="nobody").json["series"] == []


def test_of_a_new_step_only_the_steps_are_sent(tmp_path):
    run = write(tmp_path / "run", epochs=4, epoch_list=[1, 2, 3], samples=20)
    plugin = CNNVizPlugin(provider(tmp_path))
    client = Client(plugin.get_plugin_apps()["/series"])
    whole = client.get("/series", query_string={"run": "run"}).json
    assert set(whole) == {"digest", "series", "timelines", "problems"}
    write(None, epochs=4, epoch_list=[4], samples=20, run=run).close()
    new = client.get("/series", query_string={"run": "run", "known": whole["digest"]}).json
    assert set(new) == {"digest", "timelines"}
    assert sorted(new["timelines"]) == [[100], [100, 200, 300, 400]]
    assert client.get("/series", query_string={"run": "run", "known": new["digest"]}).json == {"digest": new["digest"]}
    assert client.get("/series", query_string={"run": "run"}).json == {**whole, **new}


def test_frames_arrive_as_they_were_written(tmp_path):
    kernels = np.random.default_rng(0).normal(size=(3, 5, 5)).astype(np.float16)
    low = np.array([np.nan, np.inf, -1], dtype=np.float32)
    run = Run(tmp_path / "run")
    for step in (10, 20):
        arrays = {"values": kernels * step, "low": low, "high": low}
        run.add(
            "kernels", "cnnviz/kernels/a/b", step, arrays, identity={"layer": "a/b"}, layer="a/b", bad=float("nan")
        )
    run.close()
    reads = provider(tmp_path)
    asked = {"run": "run", "tag": "cnnviz/kernels/a/b"}
    answer = ask(reads, "/frames", steps="10,20,30", **asked).data
    frames = unpacked(answer)
    assert list(frames) == [10, 20]
    np.testing.assert_array_equal(frames[20]["values"], (kernels * 20).astype(np.float32))
    np.testing.assert_array_equal(frames[10]["low"], low)
    few = unpacked(ask(reads, "/frames", steps="10,20", arrays="low,none", **asked).data)
    assert [list(frame) for frame in few.values()] == [["low"], ["low"]]
    np.testing.assert_array_equal(few[10]["low"], low)
    assert b"NaN" not in answer
    assert b'"bad": null' in answer
    part = unpacked(ask(reads, "/frames", steps="10", place="2", **asked).data)[10]
    np.testing.assert_array_equal(part["values"], (kernels[2] * 10).astype(np.float32))
    assert part["low"] == np.float32(-1)
    for place in ("7", "-1", "0,0,0,0,0", str(10**30)):
        assert isinstance(unpacked(ask(reads, "/frames", steps="10", place=place, **asked).data)[10], str)


def test_a_long_answer_ends_early_but_never_empty(tmp_path, monkeypatch):
    lenet(tmp_path / "run")
    monkeypatch.setattr(plugin_module, "MAX_RESPONSE_BYTES", 15_000)
    reads = provider(tmp_path)
    asked = {"run": "run", "tag": "cnnviz/projection/fc1/pca"}
    assert list(unpacked(ask(reads, "/frames", steps="300,100,200,400", **asked).data)) == [300, 100]
    monkeypatch.setattr(plugin_module, "MAX_RESPONSE_BYTES", 1)
    assert list(unpacked(ask(reads, "/frames", steps="300,100", **asked).data)) == [300]


@pytest.mark.parametrize("steps", ["x", "1;2", "1.5"])
def test_wrong_numbers_are_refused(tmp_path, steps):
    from tensorboard.errors import InvalidArgumentError

    single(tmp_path / "run")
    with pytest.raises(InvalidArgumentError, match="steps: expected integers"):
        ask(provider(tmp_path), "/frames", run="run", tag="cnnviz/gradients", steps=steps)


def test_damaged_frames_say_what_is_wrong_and_leave_the_others_alone(tmp_path):
    corrupt(tmp_path / "run")
    reads = provider(tmp_path)

    def kernels(layer, steps):
        return unpacked(ask(reads, "/frames", run="run", tag=f"cnnviz/kernels/{layer}", steps=steps).data)

    found = kernels("conv1", "200,300")
    assert found[200]["values"].shape == (6, 5, 5)
    assert "ends at byte 4, before 'values', which ends at 36" in found[300]
    words = {"pieces": "got 1 blobs", "text": "not JSON", "none": 'no list of "arrays"', "long": "has 1 bytes"}
    for layer, said in words.items():
        assert said in kernels(layer, "300")[300]


@pytest.mark.parametrize(
    "entry",
    [
        *(7, {"name": "a"}, {"name": "a", "dtype": "object", "shape": []}, {"name": "a", "dtype": [], "shape": []}),
        *({"name": "a", "dtype": "int16", "shape": shape} for shape in ([-1], [True], [0.5], "12", None)),
    ],
)
def test_impossible_arrays_are_refused(entry):
    with pytest.raises(BrokenFrameError, match="expected"):
        decode([json.dumps({"arrays": [entry]}).encode(), b""])


@pytest.mark.parametrize("shape", [[2**32, 2**32], [2**63, 2], [2**64], [2**62, 4], [3, 2**100]])
def test_shapes_that_overflow_are_refused(shape):
    header = {"arrays": [{"name": "a", "dtype": "float32", "shape": shape}]}
    with pytest.raises(BrokenFrameError, match=f"before 'a', which ends at {4 * math.prod(shape)}"):
        decode([json.dumps(header).encode(), b""])


@pytest.mark.parametrize("shape", [[0, 2**70], [2**64, 0], [0] * 200])
def test_empty_shapes_that_no_array_can_have_are_refused(shape):
    header = {"arrays": [{"name": "a", "dtype": "float32", "shape": shape}]}
    with pytest.raises(BrokenFrameError, match="no array 'a' can have the shape"):
        decode([json.dumps(header).encode(), b""])


@pytest.mark.parametrize("text", [b"[" * 10**6, b'{"a":' * 10**5, b"1" * 10**5])
def test_a_header_that_python_cannot_parse_is_refused(text):
    with pytest.raises(BrokenFrameError, match="not JSON"):
        decode([text, b""])


def test_numbers_that_are_not_finite_reach_no_browser(tmp_path):
    run = Run(tmp_path / "run")
    header = b'{"arrays": [], "a": 1e999, "b": [-1e999, {"c": Infinity}], "d": NaN, "e": 1e308}'
    run.add_blobs("model", "cnnviz/model", 1, [header, b""])
    content = b'{"schema": 1, "kind": "kernels", "layer": "x", "odd": 1e999}'
    run.add_blobs("kernels", "cnnviz/kernels/x", 1, [header, b""], content=content)
    run.close()
    reads = provider(tmp_path)

    def strictly(text):
        return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))

    listed = strictly(ask(reads, "/series", run="run").data)["series"]
    assert [series.get("odd", "none") for series in listed] == [None, "none"]
    answer = ask(reads, "/frames", run="run", tag="cnnviz/model", steps="1").data
    size = int.from_bytes(answer[:4], "little")
    info = strictly(answer[4 : 4 + size])[0]["info"]
    assert info == {"a": None, "b": [None, {"c": None}], "d": None, "e": 1e308}


def test_what_frames_have_in_common_is_sent_once_and_is_theirs(tmp_path):
    run = Run(tmp_path / "run")
    headers = [{"a": [1, 2], "b": "x"}, {"a": [1, 2], "b": "y", "c": 0}, {"a": [1, 2]}, {"c": False, "a": [2]}]
    for step, header in enumerate(headers):
        run.add("model", "cnnviz/model", step, **header)
    run.close()
    answer = ask(provider(tmp_path), "/frames", run="run", tag="cnnviz/model", steps="0,1,2,3").data
    assert list(unpacked(answer).values()) == headers
    assert answer.count(b"[1, 2]") == 1


def test_parts_of_frames(tmp_path):
    lenet(tmp_path / "run")
    reads = provider(tmp_path)
    asked = {"run": "run", "tag": "cnnviz/projection/fc2/tsne", "steps": "100,700", "arrays": "points,predicted"}
    whole, some = (unpacked(ask(reads, "/frames", rows=rows, **asked).data) for rows in ("", "7,599,0"))
    for step in (100, 700):
        for name in ("points", "predicted"):
            np.testing.assert_array_equal(some[step][name], whole[step][name][[7, 599, 0]])
    for rows in ("600", "-1", str(10**30)):
        assert isinstance(unpacked(ask(reads, "/frames", rows=rows, **asked).data)[700], str)


def test_an_empty_answer_has_an_empty_directory():
    assert unpacked(pack([])) == {}


def test_other_schemas_are_named_and_not_read(tmp_path):
    foreign(tmp_path / "run")
    run = Run(tmp_path / "odd")
    run.add("kernels", "cnnviz/kernels/x", 1, schema="one")
    run.close()
    reads = provider(tmp_path)
    answer = ask(reads, "/series", run="run").json
    assert answer["problems"] == [
        "Some data were written by a newer lightning-cnnviz (expected schema 1, got 2). "
        "Upgrade lightning-cnnviz in TensorBoard's environment."
    ]
    assert not [series for series in answer["series"] if series["tag"] == "cnnviz/kernels/next"]
    assert "expected 1, got 'one'" in ask(reads, "/series", run="odd").json["problems"][0]


def test_new_steps_are_seen_and_only_they_are_read(tmp_path):
    run = write(tmp_path / "run", epochs=3, epoch_list=[1, 2], samples=20)
    index = RunIndex(str(tmp_path / "run"))
    tag = "cnnviz/kernels/conv1"
    assert index.series()[tag].steps.tolist() == [100, 200]
    before, size = index.bytes_read, run.path.stat().st_size
    assert index.series()[tag].steps.tolist() == [100, 200]
    assert index.bytes_read == before
    write(None, epochs=3, epoch_list=[3], samples=20, run=run)
    assert index.series()[tag].steps.tolist() == [100, 200, 300]
    assert 0 < index.bytes_read - before < run.path.stat().st_size - size
    assert [step for step, *_ in index.frames(tag, [100, 200, 300, 400])] == [100, 200, 300]
    run.close()


def test_a_thousand_layers_share_one_list_of_steps(tmp_path):
    thousand(tmp_path / "run")
    answer = ask(provider(tmp_path), "/series", run="run").json
    assert sorted(map(len, answer["timelines"])) == [1, 5]


def test_the_picture_of_a_partition_arrives_byte_by_byte(tmp_path):
    plane(tmp_path / "run")
    frames = unpacked(
        ask(provider(tmp_path), "/frames", run="run", tag="cnnviz/partition/layer1/cells", steps="500").data
    )
    assert frames[500]["png"].tobytes().startswith(b"\x89PNG")
