"""Text files in the folder of a run, which may be remote."""

import fsspec


def write_text(path: str, text: str) -> None:
    """Writes a file, of which a reader never sees a part.

    Args:
        path: A local path, or one of `fsspec`; its folder is made.
        text: Its contents.

    Example:
        >>> write_text("memory://run/note.csv", "split,sample")
        >>> fsspec.open("memory://run/note.csv", "r").open().read()
        'split,sample'
    """
    files, place = fsspec.core.url_to_fs(path)
    files.makedirs(place.rpartition("/")[0], exist_ok=True)
    with files.open(f"{place}.part", "w") as file:
        file.write(text)
    files.mv(f"{place}.part", place)
