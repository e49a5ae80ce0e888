import pytest
from tensorboard.compat.proto import summary_pb2
from tensorboard_plugin.scenes import nan, without
from tensorboard_plugin.synthetic_run import CLASSES, Run, write

from lightning_cnnviz.report.summary import summary
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex

FINDING = {
    "rule": "dead_units", "title": "dead units", "layers": ["conv1", "conv2"], "first_step": 1200, "last_step": 1200,
    "told_step": 1300, "evidence": "9 of 16 units are dead", "advice": "", "source": "", "chart": "", "sure": "likely",
}  # fmt: skip


def parts(folder):
    made = summary(str(folder), RunIndex(str(folder)))
    return made["line"], {name: dict(rows) for name, rows in made["parts"]}


def log(run, step, **values):
    value = [summary_pb2.Summary.Value(tag=tag.replace("__", "/"), simple_value=v) for tag, v in values.items()]
    run.event(step=step, summary=summary_pb2.Summary(value=value))


def test_all_that_is_recorded_is_told(tmp_path):
    run = write(tmp_path, epochs=2, samples=20)
    run.add("curves", "cnnviz/curves", 300, points={"accuracy/val": [[3, 300, 0.99]], "loss/val": [[3, 300, 9.0]]})
    run.add("curves", "cnnviz/curves", 400, points={"accuracy/val": [[4, 400, 0.5]], "loss/val": [[4, 400, 0.01]]})
    run.add("findings", "cnnviz/findings", 1300, findings=[FINDING])
    log(run, 100, val_loss=3.0, cnnviz__cost__KernelGrid=1500.0, curves__loss__val=1.0, epoch=0.0)
    log(
        run, 400, val_loss=float("nan"), test_acc=0.75, cnnviz__cost__KernelGrid=500.0, cnnviz__cost__FeatureMaps=100.0
    )
    run.close()
    (tmp_path / "hparams.yaml").write_text("model_lr: 0.1\nmodel: {width: 3}\ndata: {root: x}\n")
    line, told = parts(tmp_path)
    assert line == (
        "Net · 84,376 parameters · 4 epochs · highest accuracy of the validation: 0.99 in epoch 3 · "
        "lowest loss of the validation: 0.01 in epoch 4 · 1 finding"
    )
    assert told["Model"] == {
        "class": "Net", "input": "1 × 28 × 28", "layers": "4", "parameters": "84,376", "model.width": "3"
    }  # fmt: skip
    assert told["Data"] == {"10 classes": ", ".join(CLASSES), "data.root": "x"}
    assert told["Settings"] == {"model_lr": "0.1"}
    assert told["Final metrics"] == {"val_loss": "not finite", "test_acc": "0.75"}
    assert told["Findings"] == {"dead units": "conv1, conv2 · since step 1,200 · 9 of 16 units are dead"}
    costs = {"all": "2.10 s", "KernelGrid": "2.00 s", "FeatureMaps": "0.10 s"}
    assert told["Cost of the pictures, on the training thread"] == costs
    assert told["Recorded"]["last step"] == "1,300"
    assert told["Recorded"]["from"] == "2023-11-14 22:13 UTC"


def test_what_is_not_recorded_is_not_told(tmp_path):
    nan(tmp_path / "nan")
    line, told = parts(tmp_path / "nan")
    assert "lowest" not in line
    assert not {"Best epoch", "Final metrics", "Findings", "Settings"} & set(told)
    run = Run(tmp_path / "bare")
    run.add("findings", "cnnviz/findings", 5, findings=[])
    run.close()
    assert parts(tmp_path / "bare")[0] == ""
    assert list(parts(tmp_path / "bare")[1]) == ["Recorded"]


def test_many_metrics_are_counted(tmp_path):
    run = Run(tmp_path)
    for number in range(50):
        log(run, 1, **{f"metric_{number}": float(number)})
    run.close()
    metrics = parts(tmp_path)[1]["Final metrics"]
    assert metrics["metric_39"] == "39"
    assert metrics["and"] == "10 more"


@pytest.mark.parametrize("make", [without])
def test_a_run_without_data_of_ours_has_next_to_nothing(tmp_path, make):
    make(tmp_path)
    assert parts(tmp_path)[1]["Final metrics"] == {"loss": "1"}
