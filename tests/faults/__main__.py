"""Runs the suite and says what it found."""

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tests.faults.check import Finding, check, diary, ending
from tests.faults.plan import CALLBACKS, ON_THE_PLANE, SHARES, Case, plan
from tests.faults.report import summary
from tests.faults.run import start

LIMIT = 180
"""Seconds after which a run hangs."""


class Suite:
    """Runs cases side by side, each in a copy of this process, in which nothing has run yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bare: dict[Case, list[dict[str, Any]]] = {}
        self._running: dict[int, tuple[Case, Path, float]] = {}

    def alone(self, case: Case, name: str, count: bool = False) -> list[dict[str, Any]]:
        """The diary of a run that is waited for."""
        folder = self.folder / name
        folder.mkdir()
        os.waitpid(start(case, folder, count), 0)
        lines = diary(folder)
        end = ending(lines)
        if end is None or end["error"]:
            raise RuntimeError(f"a run without faults failed: {(folder / 'output').read_text()}")
        shutil.rmtree(folder)
        return lines

    def bare(self, case: Case) -> list[dict[str, Any]]:
        """The diary of the same training without us."""
        if case.bare not in self._bare:
            self._bare[case.bare] = self.alone(case.bare, f"bare{len(self._bare)}")
        return self._bare[case.bare]

    def run(self, cases: list[Case], jobs: int, keep: bool) -> list[Finding]:
        """Runs all cases, `jobs` at a time."""
        for case in cases:
            self.bare(case)
        waiting, found = list(reversed(cases)), []
        while waiting or self._running:
            while waiting and len(self._running) < jobs:
                self._begin(waiting.pop())
            ended = self._wait()
            if ended is not None:
                found.append(self._end(*ended, keep))
        return sorted(found, key=lambda one: one.case.number)

    def _begin(self, case: Case) -> None:
        folder = self.folder / str(case.number)
        (folder / "disk").mkdir(parents=True)
        if case.fault == "disk full":
            mount = ["mount", "-t", "tmpfs", "-o", f"size={200 + case.detail}k,mode=777", "tmpfs", folder / "disk"]
            subprocess.run(mount, capture_output=True, check=False)
        self._running[start(case, folder)] = case, folder, time.monotonic()

    def _wait(self) -> tuple[int, bool] | None:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid in self._running:
            return pid, False
        for late, (_, _, begun) in self._running.items():
            if time.monotonic() - begun > LIMIT:
                os.killpg(late, signal.SIGKILL)
                os.waitpid(late, 0)
                return late, True
        time.sleep(0.02)
        return None

    def _end(self, pid: int, hung: bool, keep: bool) -> Finding:
        case, folder, _ = self._running.pop(pid)
        found = check(case, folder, pid, hung, self.bare(case))
        if os.path.ismount(folder / "disk"):
            subprocess.run(["umount", folder / "disk"], check=True)
        words = "; ".join(found.wrong) or "fine"
        print(f"{case.number:>4} {case.fault:<30} {case.moment!s:<36} {case.detail!s:.60}: {words}", flush=True)
        if not (keep and found.wrong):
            shutil.rmtree(folder)
        return found


def main() -> int:
    """The command; its exit status is 1 where something was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=sys.modules["tests.faults"].__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--only", choices=SHARES, default="", help="one kind of fault")
    parser.add_argument("--number", type=int, help="one run of the plan")
    parser.add_argument("--keep", type=Path, help="folder for what is left of runs in which something was wrong")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--markdown", type=Path, help="file for the same as a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    begun = time.monotonic()
    scratch = Path(tempfile.mkdtemp())  # not one that removes itself, as it would in every copy of this process
    try:
        folder = options.keep or scratch
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        suite = Suite(folder)
        nets = {"image": CALLBACKS, "plane": ON_THE_PLANE}
        calls = {}
        for net, names in nets.items():
            lines = suite.alone(Case(0, "", net, names, every_step=True), net, count=True)
            calls[net] = next(line["calls"] for line in lines if "calls" in line)
        cases = list(plan(options.runs, options.seed, calls, options.only))
        if options.number:
            cases = [cases[options.number - 1]]
        found = suite.run(cases, options.jobs, bool(options.keep))
    finally:
        shutil.rmtree(scratch)
    figures, table = summary(found, options.seed, time.monotonic() - begun)
    print(table)
    if options.json:
        rows = [asdict(one) for one in found]
        options.json.write_text(json.dumps({**figures, "runs": rows}, indent=1, default=str) + "\n")
    if options.markdown:
        options.markdown.write_text(table + "\n")
    return int(any(one.wrong for one in found))


if __name__ == "__main__":
    sys.exit(main())
