"""The folder for cached data. It can be deleted at any time: everything in it can be recomputed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`$MOSAIC_CACHE`, else `mosaic-deploy` in `$XDG_CACHE_HOME`, `~/Library/Caches` (macOS) or `~/.cache`.

    Without a home folder, a path where nothing can be read or written; callers must tolerate that.
    """
    if chosen := os.environ.get("MOSAIC_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        # os.path, because Path.expanduser raises without a home folder.
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")  # noqa: PTH111
    return Path(base if os.path.isabs(base) else os.devnull) / "mosaic-deploy"  # noqa: PTH117
