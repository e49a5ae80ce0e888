import base64
import json
import zlib

import numpy as np
from tensorboard_plugin.scenes import corrupt
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.report.blocks import BLOCK, blocks, estimate
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex


def opened(block):
    """Directory and arrays, read without any code of the package."""
    data = zlib.decompress(base64.b64decode(block.text))
    start = 4 + int.from_bytes(data[:4], "little")
    directory = json.loads(data[4:start])
    for frame in directory:
        for entry in frame.get("arrays", []):
            entry["data"] = np.frombuffer(data, entry["dtype"], np.prod(entry["shape"]), start + entry["at"])
    return directory


def test_every_frame_is_in_one_block_and_no_block_is_large(tmp_path):
    run, rng = Run(tmp_path), np.random.default_rng(0)
    values = {step: rng.normal(size=(4, 8000)).astype(np.float32) for step in range(1, 41)}
    for step, array in values.items():
        run.add("weights", "cnnviz/weights/fc", step, {"values": array}, identity={"layer": "fc"})
    run.close()
    index = RunIndex(str(tmp_path))
    made = list(blocks(index, index.series()))
    found = {frame["step"]: frame["arrays"][0]["data"] for block in made for frame in opened(block)}
    assert list(found) == list(values)
    for step, array in values.items():
        np.testing.assert_array_equal(found[step], array.ravel())
    assert [block.first for block in made] == [opened(block)[0]["step"] for block in made]
    assert len(made) == 5
    assert max(sum(entry["arrays"][0]["data"].nbytes for entry in opened(block)) for block in made) < 1.2 * BLOCK
    size = sum(len(block.text) for block in made)
    assert size <= estimate(index, index.series()) < 1.1 * size


def test_of_a_damaged_frame_there_is_what_is_wrong_with_it(tmp_path):
    corrupt(tmp_path)
    index = RunIndex(str(tmp_path))
    told = {
        (block.tag, frame["step"]): frame.get("error")
        for block in blocks(index, index.series())
        for frame in opened(block)
    }
    assert told["cnnviz/kernels/conv1", 200] is None
    assert "the payload ends at byte 4, before 'values'" in told["cnnviz/kernels/conv1", 300]
