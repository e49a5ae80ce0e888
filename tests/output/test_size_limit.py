"""What bounds the event file, in real runs."""

import numpy as np
from helpers.tiny import events, fit, image_steps

from lightning_cnnviz import KernelGrid


def test_an_event_file_that_grows_large_gets_fewer_and_fewer_pictures_up_to_the_end(tmp_path, told, monkeypatch):
    fit(tmp_path / "whole", [KernelGrid(layers="conv*", every_n_train_steps=1, on_error="raise")], max_epochs=20)
    whole = image_steps(tmp_path / "whole")["kernels/conv1"]
    assert whole == list(range(121))
    assert "the event file has" not in told()
    size = sum(path.stat().st_size for path in (tmp_path / "whole" / "run").glob("*tfevents*"))
    monkeypatch.setattr("lightning_cnnviz.output.size_limit.MAX_EVENT_BYTES", 2 * size // 3)
    fit(tmp_path / "thinned", [KernelGrid(layers="conv*", every_n_train_steps=1, on_error="raise")], max_epochs=20)
    kept = image_steps(tmp_path / "thinned")
    assert kept["kernels/conv1"] == kept["kernels/conv2"]
    gaps = np.diff(kept["kernels/conv1"])
    assert kept["kernels/conv1"][0] == 0
    assert set(gaps) <= {1, 2, 4, 8, 16, 32}
    assert (np.diff(gaps) >= 0).all(), "evenly, and never more often again"
    assert kept["kernels/conv1"][-1] > 80, "up to the end, more or less"
    assert len(events(tmp_path / "thinned").Tensors("cnnviz/kernels/conv1")) == 121
    assert told().count("the event file has") == 1
