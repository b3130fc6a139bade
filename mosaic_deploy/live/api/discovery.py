"""The list of endpoints from `GET /v1/project`, cached on disk per API URL for a day."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mosaic_deploy.user_cache import cache_folder

CACHE_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class DiscoveredApi:
    """The paths of undocumented operations by name, and the API's limits if it lists them."""

    paths: Mapping[str, str] = field(default_factory=dict)
    static_file_bytes: int | None = None
    """The largest static file that it accepts."""
    sql_request_bytes: int | None = None
    """The largest body of a request for SQL."""


def read_cached_discovery(api_url: str) -> DiscoveredApi | None:
    """The cached listing of an API; None if there is none, or it is older than a day."""
    path = _cache_path(api_url)
    try:
        if time.time() - path.stat().st_mtime > CACHE_SECONDS:
            return None
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("paths"), dict):
        return None
    limits = (found.get(name) for name in ("static_file_bytes", "sql_request_bytes"))
    paths = {str(name): str(path) for name, path in found["paths"].items()}
    return DiscoveredApi(paths, *(most if isinstance(most, int) else None for most in limits))


def write_cached_discovery(api_url: str, listed: DiscoveredApi) -> None:
    """Caches the listing. A cache that can't be written (read-only home) is ignored."""
    path = _cache_path(api_url)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(asdict(listed)))
        temporary.replace(path)


def _cache_path(api_url: str) -> Path:
    return cache_folder() / f"listed-{hashlib.sha256(api_url.encode()).hexdigest()[:16]}.json"
