"""Words for a failure that is due to a private part of another library."""

from importlib.metadata import PackageNotFoundError, version


def broken_by(library: str, part: str) -> str:
    """What an assertion says when a release of a library has changed one of its private parts."""
    try:
        installed = version(library)
    except PackageNotFoundError:
        installed = "not installed"
    return f"{library} {installed}: `{part}` is not what it was; look for another way where it is used"
