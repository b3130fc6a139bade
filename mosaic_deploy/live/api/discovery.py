"""The list of endpoints from `GET /v1/project`, cached on disk per API URL for a day."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mosaic_deploy.errors import ApiError
from mosaic_deploy.live.api.endpoints import Operation, bind_operations
from mosaic_deploy.live.api.responses import parse_limit
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


class Directory:
    """Where the platform's operations are: the documented paths, or those that it lists. Thread-safe."""

    def __init__(self, api_url: str, read_listing: Callable[[], object]) -> None:
        self._api_url = api_url
        self._read_listing = read_listing
        self._listed: DiscoveredApi | None = None
        self._requested = False
        self._lock = threading.Lock()

    def read(self) -> DiscoveredApi:
        """What the platform lists; asks it if that isn't cached."""
        with self._lock:
            return self.cached() or self._ask()

    def cached(self) -> DiscoveredApi | None:
        if self._listed is None:
            self._listed = read_cached_discovery(self._api_url)
        return self._listed

    def path_of(self, operation: Operation) -> str:
        """The operation's path, as listed if that is cached."""
        listed = None if operation.documented else self.cached()
        return listed.paths.get(operation.name, operation.path) if listed else operation.path

    def look_up(self, operation: Operation, refused: str) -> str | None:
        """The path that the platform lists, if it isn't `refused`. Asks the platform at most once."""
        with self._lock:
            if not self._requested:
                with contextlib.suppress(ApiError):  # the caller's error says more
                    self._ask()
        found = self.path_of(operation)
        return found if found != refused else None

    def _ask(self) -> DiscoveredApi:
        self._requested = True
        listing = self._read_listing()
        self._listed = DiscoveredApi(
            bind_operations(listing),
            parse_limit(listing, "static_file_bytes"),
            parse_limit(listing, "sql_request_bytes"),
        )
        if listing is not None:
            # The lack of a list may be a gateway's doing, so the next run asks again.
            write_cached_discovery(self._api_url, self._listed)
        return self._listed


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
