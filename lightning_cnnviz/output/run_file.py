"""Files that are made of a whole run as it ends, and where they go."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric.utilities.cloud_io import get_filesystem

from lightning_cnnviz.output.costs import Account
from lightning_cnnviz.report.write import whole_file

MAX_SECONDS = 120.0
"""What a file may take before it is given up."""


@dataclass(frozen=True)
class RunFile:
    """A file that is made of what stands in the event file, once everything does.

    Attributes:
        name: Of the file in the folder of the run.
        make: Makes it, in the helper process: gets the folder, and the path of the file to write.
        account: Of the callback that asked for it.
    """

    name: str
    make: Callable[[str, str], object]
    account: Account


def put(path: Path, folder: str) -> str:
    """Copies a file into the folder of a run, in place of one of that name; returns where it is then.

    Args:
        path: Of the file.
        folder: Local, or an address such as `s3://bucket/run`.
    """
    place = f"{folder.rstrip('/')}/{path.name}"
    if "://" in folder:
        get_filesystem(folder).put_file(str(path), place)
    else:
        with whole_file(Path(place)) as file, path.open("rb") as made:
            shutil.copyfileobj(made, file)
    return place


@contextmanager
def limited(seconds: float, give_up: Callable[[], None]) -> Iterator[None]:
    """Calls a function on another thread if the context takes longer.

    Raises:
        TimeoutError: If it did.
    """
    late = threading.Event()

    def expire() -> None:
        late.set()
        give_up()

    timer = threading.Timer(seconds, expire)
    timer.name = "lightning_cnnviz.Timer"
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise TimeoutError(f"it took longer than {seconds:g} seconds") from error
        raise
    finally:
        timer.cancel()
