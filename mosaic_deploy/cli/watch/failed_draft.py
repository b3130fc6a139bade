"""What a watch knows of a draft that failed, left for `migrate seal`, which works on files only.

A file of the cache, for as long as the watch goes on: a draft of other bytes, or of a watch that has ended, is nobody's.
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
    """The draft of a migrations folder, of these bytes, failed. Best effort: without it a seal asks nothing."""
    where = error.location
    place = [where.file, where.line, where.column, where.text] if where else None
    left = {"checksum": checksum, "message": error.message, "place": place, "process": current_process()}
    path = _failure_file(folder)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never half a file, whoever reads it meanwhile.
        written = path.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(left), "utf-8")
        written.replace(path)


def clear_failure(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _failure_file(folder).unlink()


def read_failure(folder: Path, checksum: str) -> DraftFailed | None:
    """How the draft of these bytes ended in a watch that still goes on; None where none has told."""
    try:
        left = json.loads(_failure_file(folder).read_text("utf-8"))
        if left["checksum"] != checksum or has_ended(left["process"]):
            return None
        place = Location(*left["place"]) if left["place"] else None
        return DraftFailed(str(left["message"]), location=place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _failure_file(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()
    return cache_folder() / "failed_drafts" / f"{name}.json"
