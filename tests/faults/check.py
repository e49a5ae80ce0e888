"""What has to hold after a run, whatever happened to it."""

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.faults.plan import IN_TRAINING, SIGNALS, Case

PATIENCE = 60
"""Seconds in which a run's processes have to be gone after it: one may be just starting and hear of it then."""
KEEPS_ALL = {"Ctrl-C", "Ctrl-C twice", "SIGTERM", "helper killed", "slow disk", "broken weights", "broken gradients"}
"""Faults after which every picture that was asked for has to be in the event file."""
ENDS = {None, "SystemExit", "SIGTERMException", "KeyboardInterrupt"}


@dataclass
class Finding:
    """What a run left.

    Attributes:
        case: The run.
        wrong: What should not be, in words.
        happened: Whether the fault came to pass.
        finished: Whether training did all its steps.
        pictures: In the event file.
        lost: Pictures that had reached the file, or had to, and are not in it.
        changed: Whether training gave something else than without us.
        orphans: Processes that were still there.
        leftovers: Temporary files.
    """

    case: Case
    wrong: list[str] = field(default_factory=list)
    happened: bool = True
    finished: bool = False
    pictures: int = 0
    lost: int = 0
    changed: bool = False
    orphans: int = 0
    leftovers: int = 0


def diary(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run, as far as it came."""
    path = folder / "diary"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ending(lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The line with which a run ends that was not killed."""
    return next((line for line in lines if "error" in line), None)


def check(case: Case, folder: Path, pid: int, hung: bool, bare: list[dict[str, Any]]) -> Finding:
    """Looks at everything that a run has left."""
    found, lines = Finding(case), diary(folder)
    end = ending(lines)
    output = (folder / "output").read_text(errors="replace") if (folder / "output").exists() else ""
    found.happened = case.fault in IN_TRAINING or any("injected" in line for line in lines)
    if hung:
        found.wrong.append("hung")
    _check_processes(found, pid)
    _check_training(found, lines, end, bare)
    _check_pictures(found, folder, lines)
    _check_files(found, folder)
    if end is None and not hung and case.fault not in ("kill -9", "SIGTERM"):
        found.wrong.append("died")
    if end is not None and case.fault not in SIGNALS and end["error"] is not None:
        found.wrong.append(f"ended by {end['error']}: {end['words']}")
    if end is not None and end["error"] not in ENDS and case.fault in SIGNALS:
        found.wrong.append(f"ended by {end['error']}: {end['words']}")
    if end is not None and end["hooks"]:
        found.wrong.append(f"{end['hooks']} hooks on the model")
    told = Counter(
        line["warning"].partition(" failed to draw")[0]
        for line in lines
        if "failed to draw" in line.get("warning", "")
    )
    found.wrong += [f"{name} warned {count} times" for name, count in told.items() if count > 1]
    if case.fault in KEEPS_ALL - {"broken weights", "broken gradients"} and told:
        found.wrong.append(f"failed pictures of {', '.join(told)}")
    stray = [line for line in output.splitlines() if line.startswith(("Exception in thread", "Exception ignored"))]
    found.wrong += stray
    return found


def _check_processes(found: Finding, pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while (left := members(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        os.kill(process, signal.SIGKILL)
    found.orphans = len(left)
    if left:
        found.wrong.append(f"{len(left)} processes left")


def members(group: int) -> list[int]:
    """Processes of a group that are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(of) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _check_training(
    found: Finding, lines: list[dict[str, Any]], end: dict[str, Any] | None, bare: list[dict[str, Any]]
) -> None:
    expected = {line["step"]: line["weights"] for line in bare if "step" in line}
    for line in lines:
        if "step" in line and expected.get(line["step"]) != line["weights"]:
            found.changed = True
    if end is not None and end["result"] is not None:
        found.finished = True
        if found.case.fault not in SIGNALS or end["error"] is None:
            expected = (ending(bare) or {})["result"]
            different = [name for name, part in expected.items() if end["result"].get(name) != part]
            found.changed |= bool(different)
            found.wrong += [f"{name} is another" for name in different]
    if found.changed:
        found.wrong.append("training is not what it is without us")


def _check_pictures(found: Finding, folder: Path, lines: list[dict[str, Any]]) -> None:
    there = pictures(folder / "disk" / "run")
    found.pictures = len(there)
    has_to_be = {tuple(picture) for line in lines for picture in line.get("flushed", ())}
    has_to_be -= {tuple(record) for line in lines for record in line.get("lost", ())}  # which the user is told
    closed_first = [line for line in lines if "signal" in line or line.get("closing") == 1][:1]
    undisturbed = not closed_first or "signal" in closed_first[0] or found.case.fault not in SIGNALS
    if found.case.fault in KEEPS_ALL and undisturbed and any("error" in line for line in lines):
        has_to_be |= {tuple(line["asked"]) for line in lines if "asked" in line}
    found.lost = len(has_to_be - there)
    if found.lost:
        found.wrong.append(f"{found.lost} pictures lost, such as {sorted(has_to_be - there)[:3]}")


def pictures(run: Path) -> set[tuple[str, int]]:
    """Tag and step of every picture, and of every record for the tab, that TensorBoard's own reader finds."""
    if not run.is_dir():
        return set()
    reader = EventAccumulator(str(run), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()
    images = {(tag, image.step) for tag in reader.Tags()["images"] for image in reader.Images(tag)}
    return images | {(tag, record.step) for tag in reader.Tags()["tensors"] for record in reader.Tensors(tag)}


def _check_files(found: Finding, folder: Path) -> None:
    left = list((folder / "temporary").iterdir())
    run = folder / "disk" / "run"
    known = ("events.out.tfevents.", "hparams.yaml", "step=", "data.pt")
    left += [
        path
        for path in run.rglob("*")
        if path.is_file() and not path.name.startswith(known) and path.suffix != ".png" and path.name != "ballast"
    ]
    found.leftovers = len(left)
    if left:
        found.wrong.append(f"left behind: {', '.join(path.name for path in left)}")
