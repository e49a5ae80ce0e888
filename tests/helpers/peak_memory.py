"""The peak memory of a program of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")
TOLD = f"""
from pathlib import Path
print(next(line.split()[1] for line in Path("{STATUS}").read_text().splitlines() if line.startswith("VmHWM")))
"""


def peak_memory(code, *arguments):
    """Runs some code with arguments and returns its peak in kilobytes.

    `ru_maxrss` would be that of the process that has started it, if that one is larger.
    """
    if not STATUS.exists():
        pytest.skip("the peak of a process's memory is known on Linux alone")
    command = [sys.executable, "-c", code + TOLD, *map(str, arguments)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
