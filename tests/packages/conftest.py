"""Nothing here is collected: each case needs the package that it is about, see `__main__.py`."""

collect_ignore_glob = ["*"]
