"""A run in a notebook: executed by a real kernel, with a real training."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tensorboard_plugin.scenes import lenet, lenet_other

from lightning_cnnviz import show
from lightning_cnnviz.report.folders import ReportError

TESTS = Path(__file__).resolve().parents[1]
TRAINING = """
import logging, sys, threading, time, warnings
from pathlib import Path
sys.path.insert(0, {tests!r})
warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
import torch
import lightning_cnnviz.report.live as live
from helpers.tiny import TinyNet, fit
from lightning_cnnviz import KernelGrid, show
live.INTERVAL, live.UNHURRIED = 0.2, 1  # a training of some seconds is to be seen several times

class Slow(TinyNet):
    def on_train_epoch_end(self):
        time.sleep(0.5)

def trained(folder):
    run = fit(Path(folder), [KernelGrid()], model=Slow, max_epochs=6)
    return [*run.lightning_module.state_dict().values(), torch.get_rng_state()]
"""


class Client(NotebookClient):
    """A kernel and what it sends: (seconds, index of the cell, kind, HTML)."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] in ("display_data", "update_display_data"):
            self.sent.append((time.monotonic(), cell_index, msg["msg_type"], msg["content"]["data"]["text/html"]))
        return super().process_message(msg, cell, cell_index)


def executed(*cells):
    """A notebook that was run, and what its kernel has sent."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = Client(notebook, timeout=120)
    client.sent = []
    path = os.pathsep.join(filter(None, [str(TESTS.parent), os.environ.get("PYTHONPATH", "")]))
    client.execute(env={**os.environ, "PYTHONPATH": path})
    return notebook, client.sent


def shown(cell):
    return [output for output in cell.outputs if "text/html" in output.get("data", {})]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "lenet"
    lenet(folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A notebook that looks at a training while it runs, one that has no folder yet as the cell begins."""
    folder = tmp_path_factory.mktemp("live")
    return executed(
        TRAINING.format(tests=str(TESTS)),
        f"a = {str(folder / 'a')!r}\nview = show(a + '/run', live=True)\nwith_it = trained(a)\nview.stop()",
        f"without = trained({str(folder / 'b')!r})\nprint(all(map(torch.equal, with_it, without)))",
        "print([one.name for one in threading.enumerate() if 'cnnviz' in one.name])",
        "view",
    )


def test_a_cell_that_ends_with_it_shows_it_once_and_as_small_as_jupyter_wants(run):
    notebook, sent = executed(
        f"from lightning_cnnviz import show\nshow({str(run)!r})",
        f"page = show({str(run)!r}, height=500)",
        "page.update()\nfrom IPython.display import display\ndisplay(page)\npage",
    )
    (output,) = shown(notebook.cells[0])
    assert output.data["text/plain"] == "RunPage(lenet)"
    assert output.data["text/html"].count("<iframe") == 1
    assert len(nbformat.writes(notebook)) < 2 * 3e6
    assert shown(notebook.cells[1]) == []
    assert [cell for _, cell, *_ in sent] == [0, 2]
    assert "height:500px" in sent[1][3]


def test_a_training_is_seen_while_it_runs_in_the_output_of_its_cell(trained):
    notebook, sent = trained
    in_training = [(kind, html) for _, cell, kind, html in sent if cell == 1]
    assert [kind for kind, _ in in_training] == ["display_data", *["update_display_data"] * (len(in_training) - 1)]
    assert "nothing to show yet. The page comes with the first data." in in_training[0][1]
    pages = [html for _, html in in_training if "<iframe" in html]
    assert len(pages) >= 3
    assert len({re.search(r'data-cnnviz="([^"]+)"', page)[1] for page in pages}) == 1
    last = [int(re.findall(r'"last step", "(\d+)"', page)[0]) for page in pages]
    assert last == sorted(last)
    assert last[-1] == 36
    (output,) = shown(notebook.cells[1])
    assert output.data["text/html"] == pages[-1]


def test_the_training_is_the_same_as_without_it_and_nothing_stays_behind(trained):
    notebook, _ = trained
    assert notebook.cells[2].outputs[-1].text == "True\n"
    assert notebook.cells[3].outputs[-1].text == "[]\n"
    assert len(shown(notebook.cells[4])) == 1


def test_what_is_wrong_with_a_live_page_is_said_in_its_place_and_the_cell_goes_on(run, tmp_path):
    lenet(tmp_path / "one")
    lenet_other(tmp_path / "two")
    notebook, _ = executed(
        f"from lightning_cnnviz import show\nshow({str(tmp_path)!r}, live=True)",
        "import time\ntime.sleep(5)\nprint('on')",
    )
    (output,) = shown(notebook.cells[0])
    assert "nothing to show yet. expected one run, got" in output.data["text/html"]
    assert notebook.cells[1].outputs[-1].text == "on\n"


def test_no_such_run_is_an_error_of_the_cell(tmp_path):
    with pytest.raises(CellExecutionError, match=r"expected the folder of a run, got .*nowhere, which does not exist"):
        executed(f"from lightning_cnnviz import show\nshow({str(tmp_path / 'nowhere')!r})")


def test_outside_of_a_notebook_one_line_says_what_to_do(run, capsys):
    page = show(run)
    assert capsys.readouterr().err == (
        f"show() draws in a notebook; for a file that any browser opens: python -m lightning_cnnviz report {run}\n"
    )
    assert "<iframe" in page._repr_html_()
    with pytest.raises(ReportError, match="does not exist"):
        show(run / "nowhere")


def test_options_are_those_of_the_file(run, tmp_path, capsys):
    lenet_other(tmp_path / "other")
    page = show(run, compare=tmp_path / "other", layers=["conv1"], first_step=300, last_step=900)
    html = page._repr_html_()
    assert "what is of the layers conv1 from step 300 up to step 900." in html
    assert repr(page) == "RunPage(lenet and other)"
    assert f"report {run} --compare {tmp_path / 'other'}" in capsys.readouterr().err
    with pytest.raises(ReportError, match=r"expected a page of at most 0\.1 MB"):
        show(run, max_mb=0.1)


def test_it_needs_neither_ipython_nor_torch():
    code = "import sys\nsys.modules['IPython'] = None\nfrom lightning_cnnviz import show\nprint(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "pytorch_lightning", "matplotlib"} & set(found.stdout.split())
