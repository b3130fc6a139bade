"""Tells `migrate commit`, which doesn't connect to a database, that a running watch saw the draft fail.

The failure is a file in the user's cache; it counts only for the same bytes, while that watch is running.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from mosaic_deploy.cli.target.identity import current_process, has_ended
from mosaic_deploy.errors import DraftFailed, Location
from mosaic_deploy.user_cache import cache_folder


def record_failure(folder: Path, checksum: str, error: DraftFailed) -> None:
    """Records that the draft in a migrations folder failed. If the file can't be written, `commit` won't ask."""
    where = error.location
    place = [where.file, where.line, where.column, where.text] if where else None
    failure = {"checksum": checksum, "message": error.message, "place": place, "process": current_process()}
    path = _failure_file(folder)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Replaced as a whole: another process may be reading it.
        written = path.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(failure), "utf-8")
        written.replace(path)


def clear_failure(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _failure_file(folder).unlink()


def read_failure(folder: Path, checksum: str) -> DraftFailed | None:
    """The failure of a draft with this checksum; None if no running watch has recorded one."""
    try:
        failure = json.loads(_failure_file(folder).read_text("utf-8"))
        if failure["checksum"] != checksum or has_ended(failure["process"]):
            return None
        place = Location(*failure["place"]) if failure["place"] else None
        return DraftFailed(str(failure["message"]), location=place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _failure_file(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()
    return cache_folder() / "failed_drafts" / f"{name}.json"
