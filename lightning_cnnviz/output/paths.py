"""Where files go, whatever directory the script is in by then."""

import os


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Returns a local path as an absolute one; the address of a remote file, and nothing, as they are.

    Example:
        >>> absolute_path("s3://bucket/runs"), absolute_path("")
        ('s3://bucket/runs', '')
    """
    path = os.fspath(path)
    return path if not path or "://" in path else os.path.abspath(path)
