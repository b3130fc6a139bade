"""Where the program keeps what it can find out again: nothing is lost when the folder is deleted."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`$MOSAIC_CACHE`, else `mosaic-deploy` in `$XDG_CACHE_HOME`, `~/Library/Caches` (macOS) or `~/.cache`.

    Without a home folder it is a path where nothing can be read or written, which callers bear anyway.
    """
    if chosen := os.environ.get("MOSAIC_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        # os.path rather than Path.expanduser, which raises where there is no home.
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")  # noqa: PTH111
    return Path(base if os.path.isabs(base) else os.devnull) / "mosaic-deploy"  # noqa: PTH117
