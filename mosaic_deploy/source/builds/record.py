"""What the last build of an output was made from, in the user's cache. Losing it only costs another build."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from mosaic_deploy.source.builds.digests import Digests
from mosaic_deploy.source.files.stat_cache import read_owned_file, replace_file
from mosaic_deploy.user_cache import cache_folder

FORMAT = 1
_MAX_AGE = 60 * 24 * 3600
"""In seconds: older records, of outputs that aren't built here any more, are deleted when one is written."""


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A build that succeeded. `inputs` are those before it began, `inputs_after` those that were there when it had ended."""

    settings: dict[str, str]
    """What else it depends on: the command, its folder, and a digest of its environment."""
    inputs: Digests
    inputs_after: Digests
    output: str
    """See `output_digest`."""
    own_changes: int = 0
    """How many builds in a row, up to this one, began only because the same inputs had changed during the one before."""


def record_file(output: str) -> Path:
    """The path of an output folder's record. `output` is without links."""
    name = hashlib.sha256(os.fsencode(output)).hexdigest()[:32]
    return cache_folder() / "builds" / f"{name}.json"


def read_record(output: str) -> BuildRecord | None:
    """None if there is none that can be used."""
    try:
        value = json.loads(read_owned_file(record_file(output)))
        if value.pop("format") != FORMAT:
            return None
        return BuildRecord(**value)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_record(output: str, record: BuildRecord) -> None:
    """Without a folder for it, the next run builds again."""
    path = record_file(output)
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, json.dumps({"format": FORMAT, **asdict(record)}).encode())
        _delete_old_records(path.parent)


def _delete_old_records(folder: Path) -> None:
    oldest = time.time() - _MAX_AGE
    for path in folder.iterdir():
        # A build may hold a lock that is as old: deleted, it wouldn't keep another one from beginning.
        if path.suffix != ".lock" and path.stat().st_mtime < oldest:
            path.unlink()
