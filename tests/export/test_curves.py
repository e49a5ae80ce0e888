from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export.curves import CurvePoint, curve_points, in_percent
from lightning_cnnviz.export.source import Source
from lightning_cnnviz.report.selection import Selection
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex


def source(folder, **selection):
    return Source(str(folder), RunIndex(str(folder)), Selection(**selection))


def test_points_come_bit_by_bit_and_only_between_the_steps(tmp_path):
    run = Run(tmp_path)
    run.add("curves", "cnnviz/curves", 20, points={"loss/val": [[1, 10, 0.5], [2, 20, None]]})
    named = {"metrics": {"loss/val": "val_loss"}, "percent": True}
    run.add("curves", "cnnviz/curves", 30, points={"loss/val": [[None, 30, 0.25]], "accuracy/train": []}, **named)
    assert curve_points(source(tmp_path)) == [
        CurvePoint("loss", "val", None, 1, 10, 0.5),
        CurvePoint("loss", "val", None, 2, 20, None),
        CurvePoint("loss", "val", "val_loss", None, 30, 0.25),
    ]
    assert [point.step for point in curve_points(source(tmp_path, first=20, last=20))] == [20]
    assert in_percent(source(tmp_path))
    assert not in_percent(source(tmp_path, last=20))
