"""What the callbacks cost, measured: `python -m benchmarks`.

Prints each row of the table as soon as it is known, and at the end the promises once more. A figure is followed by
its 95 % interval and by that of bare against bare, measured in the same way: what is smaller than this is noise.
"""

import argparse
import json
import logging
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks import (
    deep,
    epochs,
    gpu,
    gradient_flow,
    helper,
    images,
    kernels,
    live,
    memory,
    patches,
    peak,
    projection,
    runs,
    tab,
)
from benchmarks.models import fashion
from benchmarks.rows import HEADER, Row, summary
from benchmarks.settings import Settings

GROUPS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "runs": runs.rows,
    "epochs": epochs.rows,
    "live": live.rows,
    "deep": deep.rows,
    "images": images.rows,
    "kernels": kernels.rows,
    "projection": projection.rows,
    "memory": memory.rows,
    "helper": helper.rows,
    "patches": patches.rows,
    "peak": peak.rows,
    "gradient_flow": gradient_flow.rows,
    "tab": tab.rows,
    "gpu": gpu.rows,
}


def machine() -> dict[str, Any]:
    """What it ran on, and with which versions."""
    cores = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in _lines(cores) if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": models[0] if models else platform.processor(),
        "cores": len(models) or None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": pl.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short look that all works; its figures mean little")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="NAME", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, raw samples and the machine there")
    parser.add_argument("--baseline", type=Path, metavar="FOLDER", help="a checkout to compare with (helper only)")
    arguments = parser.parse_args()
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    fashion().prepare_data()
    described = machine()
    print(", ".join(f"{name} {value}" for name, value in described.items() if value), f"\n\n{HEADER}", flush=True)
    rows: list[dict[str, Any]] = []
    found: list[Row] = []
    begin = time.perf_counter()
    for name in arguments.only or GROUPS:
        print(f"{name} … ({time.perf_counter() - begin:.0f} s)", file=sys.stderr, flush=True)
        for row in GROUPS[name](Settings(arguments.quick, arguments.baseline)):
            print(row.line(), flush=True)
            found.append(row)
            rows.append({"group": name, **row.as_json()})
            if arguments.json:
                figures = {"machine": described, "quick": arguments.quick, "rows": rows}
                arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(summary(found))
    print(f"\n{time.perf_counter() - begin:.0f} s; a bar is the extra time, one block 0.1 %, 6 are 1 %, 16 are 100 %")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
