"""What `GET /v1/project` lists, remembered per API URL on disk for a day."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from mosaic_deploy.user_cache import cache_folder

DAY = 24 * 60 * 60.0


def read_bindings(api_url: str) -> dict[str, str] | None:
    """The remembered operation paths of an API, None where there are none younger than a day."""
    path = _path(api_url)
    try:
        if time.time() - path.stat().st_mtime > DAY:
            return None
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else None


def write_bindings(api_url: str, bound: dict[str, str]) -> None:
    """Remembers; a cache that can't be written (read-only home) is only a lost shortcut."""
    path = _path(api_url)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(bound))
        temporary.replace(path)


def _path(api_url: str) -> Path:
    return cache_folder() / f"discovery-{hashlib.sha256(api_url.encode()).hexdigest()[:16]}.json"
