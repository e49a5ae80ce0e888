"""Trains models of published packages with and without our callbacks, each with its own data, and compares the runs.

Each package is installed in a temporary environment, where those that go together share one; every run is a process of
its own. Two runs are the same if, to the bit, weights, gradients, optimizers, buffers, plain attributes, metrics'
states, random states and every scalar that the module logs are. What differs between two bare runs (addresses in
memory, say) does not count.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OFTEN = ("Cost of lightning_cnnviz", "lightning_cnnviz: waiting for")
"""What every run says and the table does not repeat."""
LIMIT = 180
"""Seconds after which a run hangs."""
PYTHON = "3.12"
"""What the newest versions of these packages ask for."""


@dataclass(frozen=True)
class Environment:
    """What is installed together, and the package that each case is about."""

    requirements: tuple[str, ...]
    cases: dict[str, str] = field(default_factory=dict)


ENVIRONMENTS = [
    Environment(
        ("torch==2.14.1", "torchvision==0.29.2", "lightning==2.6.6", "segmentation-models-pytorch==0.6.0"),
        {
            "torchgeo_classification": "torchgeo==0.10.1",
            "torchgeo_segmentation": "torchgeo==0.10.1",
            "torchgeo_byol": "torchgeo==0.10.1",
            "lightly": "lightly==1.6.0",
            "lightly_probe": "lightly==1.6.0",
            "monai": "monai==1.6.1",
            "anomalib": "anomalib==2.7.0",
            "braindecode": "braindecode==1.8.1",
            "lightning_uq_box": "lightning-uq-box==0.4.0",
            "chemprop": "chemprop==2.3.1",
            "darts": "darts==0.48.1",
            "neuralforecast": "neuralforecast==3.3.0",
            "pytorch_forecasting": "pytorch-forecasting==1.8.0",
        },
    ),
    Environment(
        ("torch==2.11.0", "torchvision==0.26.0", "torchgeo==0.9.0"),
        {"careamics": "careamics==0.3.5", "kraken": "kraken==7.1.1", "terratorch": "terratorch==1.2.13"},
    ),
    Environment(
        ("torch==2.11.0", "torchaudio==2.11.0", "requests==2.34.2"),  # it imports requests and does not ask for it
        {"asteroid": "asteroid==0.7.0"},
    ),
]


@dataclass
class Result:
    """What came of a case."""

    case: str
    package: str
    verdict: str
    drawn: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    wrong: bool = False


def main() -> int:
    """The command; its exit status is 1 where a run is not the same with us, or fails because of us."""
    parser = argparse.ArgumentParser(prog="python -m tests.packages", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="CASE", help="some of the cases")
    parser.add_argument("--keep", type=Path, help="folder for what the runs leave")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    options = parser.parse_args()
    known = [case for environment in ENVIRONMENTS for case in environment.cases]
    if unknown := set(options.only) - set(known):
        parser.error(f"no case {', '.join(sorted(unknown))}; cases are {', '.join(known)}")
    scratch = Path(tempfile.mkdtemp())
    folder = (options.keep or scratch / "runs").resolve()
    results = []
    try:
        for environment in ENVIRONMENTS:
            cases = [case for case in environment.cases if case in (options.only or known)]
            if cases:
                python = install(environment, cases, scratch / "environment")
                for case in cases:
                    results.append(compare(python, case, environment.cases[case], folder / case))
                    print(f"{case:<24} {results[-1].verdict}", flush=True)
                shutil.rmtree(scratch / "environment")
    finally:
        shutil.rmtree(scratch)
    table = markdown(results)
    print(f"\n{table}")
    if options.markdown:
        options.markdown.write_text(f"{table}\n")
    return int(any(result.wrong for result in results))


def install(environment: Environment, cases: list[str], folder: Path) -> Path:
    """A new environment with what the cases need, and us; returns its Python."""
    packages = sorted({environment.cases[case] for case in cases})
    print(f"Installing {', '.join(packages)}", flush=True)
    uv = [sys.executable, "-m", "uv"]
    installed = sorted(Path.home().glob(f".pyenv/versions/{PYTHON}.*/bin/python"))  # uv sees those switched on only
    subprocess.run([*uv, "venv", "--quiet", "--python", installed[-1] if installed else PYTHON, folder], check=True)
    python = folder / "bin" / "python"
    requirements = [*environment.requirements, *packages, "--editable", ROOT]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
    return python


def compare(python: Path, case: str, package: str, folder: Path) -> Result:
    """Runs a case without us and with us."""
    bare, drawn = (train(python, case, how, folder) for how in ("bare", "drawn"))
    if "error" in bare:
        return Result(case, package, f"does not run: {last_line(bare)}", wrong=True)
    if "error" in drawn:
        return Result(case, package, f"fails with us: {last_line(drawn)}", wrong=True)
    different = differences(bare, drawn)
    if different:
        different -= differences(bare, train(python, case, "again", folder))
    said = [line for line in drawn["said"] if line not in bare["said"] and not line.startswith(OFTEN)]
    views = {short(tag) for tag in drawn["pictures"] if tag not in bare["pictures"]}
    verdict = f"different: {', '.join(sorted(different)[:5])}" if different else "identical"
    return Result(case, package, verdict, sorted(views), said, bool(different))


def train(python: Path, case: str, how: str, folder: Path) -> dict[str, Any]:
    """What is left of one run."""
    place = folder / how
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    command = [python, HERE / "run.py", case, how, place]
    with (place / "output").open("w") as output:
        try:
            subprocess.run(
                command, cwd=place, env=environment, stdout=output, stderr=output, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return {"error": f"still running after {LIMIT} seconds"}
    found = place / "found.json"
    return json.loads(found.read_text()) if found.exists() else {"error": (place / "output").read_text()}


def differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Where two runs are not the same; what only the second has logged is not counted."""
    left, right = one["left"], other["left"]
    changed = {place for place in left.keys() | right.keys() if left.get(place) != right.get(place)}
    return changed | {tag for tag in one["scalars"] if one["scalars"][tag] != other["scalars"].get(tag)}


def last_line(found: dict[str, Any]) -> str:
    return str(found["error"]).strip().splitlines()[-1]


def short(tag: str) -> str:
    """A tag without the name of the layer."""
    first, *rest = tag.split("/")
    return f"{first}/…" if first in ("kernels", "feature_maps", "projection") else "/".join([first, *rest])


def markdown(results: list[Result]) -> str:
    """The results as a table."""
    rows = ["| Package | Case | Result | Drawn | Said |", "|---|---|---|---|---|"]
    for result in results:
        said = "<br>".join(line.splitlines()[0].replace("|", "\\|") for line in result.said)
        package = result.package.replace("==", " ")
        rows.append(f"| {package} | `{result.case}` | {result.verdict} | {', '.join(result.drawn)} | {said} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
