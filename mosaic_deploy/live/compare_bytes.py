"""`plan --compare-bytes`: fetches live files like a visitor, and compares them with the ledger's digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from mosaic_deploy.errors import Forbidden, ResponseInvalid, ServerFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.responses import redirect_target
from mosaic_deploy.live.api.transport import FetchedDigest
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.live.storage_urls import Listing
from mosaic_deploy.model.snapshot import Object, Objects, ObjectState, Snapshot
from mosaic_deploy.user_cache import cache_folder

Progress = Callable[[int, int, int], None]
"""Is called with files done, files in total, and bytes fetched."""
_MAX_REDIRECTS = 3
_MAX_CACHED = 50_000
_GONE_STATUSES = frozenset({404, 410})
_COMPARED_STATES = frozenset({ObjectState.LIVE, ObjectState.KEPT})
"""KEPT: a file that was left live, and is in the folder again."""


@dataclass(frozen=True, slots=True)
class CachedDigest:
    """The digest of a URL's content with this entity tag."""

    etag: str
    sha256: str


def verify_live_bytes(
    api: Api, live: LiveState, desired: Snapshot, parallelism: int, progress: Progress
) -> LiveState:
    """`live` with the states of desired files corrected by what their URLs return.

    Only files that the ledger and the listing report as live are fetched; others are deployed anyway. A cached entity
    tag is sent along, so an unchanged file costs a request without a body. Raises Forbidden, ServerFailed or
    ResponseInvalid if a file can't be fetched.
    """
    snapshot = live.snapshot
    base = snapshot.project.url
    jobs = [
        *_jobs("static", snapshot.static, desired.static, None, base),
        *_jobs("storage", snapshot.storage, desired.storage, live.storage_files, base),
    ]
    cache = EtagCache(base)
    api.rate_limiter.set_limit(parallelism)
    changed: dict[str, dict[str, Object]] = {"static": {}, "storage": {}}
    done = fetched = 0
    with ThreadPoolExecutor(max(1, min(parallelism, len(jobs)))) as pool:
        pending = {pool.submit(_verify, api, job, cache): job for job in jobs}
        try:
            for future in as_completed(pending):
                job = pending[future]
                verified, size = future.result()
                done, fetched = done + 1, fetched + size
                if verified is not job.item:
                    changed[job.kind][job.item.path] = verified
                progress(done, len(jobs), fetched)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    cache.write()
    if not any(changed.values()):
        return live
    static = {**(snapshot.static or {}), **changed["static"]}
    storage = {**(snapshot.storage or {}), **changed["storage"]}
    return replace(live, snapshot=replace(snapshot, static=static, storage=storage))


@dataclass(frozen=True, slots=True)
class _Job:
    kind: str
    item: Object
    url: str


def _jobs(
    kind: str, live: Objects | None, desired: Objects | None, listed: Listing | None, base: str
) -> Iterable[_Job]:
    """The files to fetch: a static file at its path below the site's URL, a storage file at its listed URL."""
    for path, item in (live or {}).items():
        if item.state not in _COMPARED_STATES or path not in (desired or {}) or not item.sha256:
            continue
        if url := file_url(kind, path, base, listed):
            yield _Job(kind, item, url)


def file_url(kind: str, path: str, base: str, listed: Listing | None) -> str:
    """The URL of a live file: below the site's URL `base`, or for storage as `listed`; empty if unknown."""
    if kind == "static":
        return f"{base}/{quote(path)}" if base else ""
    _, url = (listed or {}).get(path, (None, ""))
    return url


def read_digest(api: Api, url: str, cache: EtagCache) -> str:
    """The digest of the content at `url`; empty if it isn't served. Raises subclasses of ApiError.

    With a cached entity tag, an unchanged file costs a request without a body.
    """
    known = cache.entries.get(url)
    found = _fetch_following_redirects(api, url, known.etag if known else "")
    if found.status == 304 and known:
        return known.sha256
    if found.status != 200:
        return ""
    cache.add(url, found)
    return found.sha256


def _verify(api: Api, job: _Job, cache: EtagCache) -> tuple[Object, int]:
    """The object with its state as fetched, and the number of bytes fetched."""
    known = cache.entries.get(job.url)
    etag = known.etag if known and known.sha256 == job.item.sha256 else ""
    found = _fetch_following_redirects(api, job.url, etag)
    if found.status == 304 and etag:
        return job.item, 0
    if found.status in _GONE_STATUSES:
        return replace(job.item, state=ObjectState.MISSING), found.size
    if found.status != 200:
        kind = Forbidden if found.status == 403 else ServerFailed if found.status >= 500 else ResponseInvalid
        raise kind(
            f"{job.url} returns HTTP {found.status}, so its content can't be verified",
            hint="without --compare-bytes, plan compares only recorded digests and sizes",
            status=found.status,
        )
    if found.sha256 != job.item.sha256:
        kept = job.item.state is ObjectState.KEPT
        return replace(job.item, state=ObjectState.KEPT_CHANGED if kept else ObjectState.ALTERED), found.size
    cache.add(job.url, found)
    return job.item, found.size


def _fetch_following_redirects(api: Api, url: str, etag: str) -> FetchedDigest:
    """Fetches `url`, following redirects within its host, such as from `/index.html` to `/`."""
    found = api.fetch_digest(url, etag)
    for _ in range(_MAX_REDIRECTS):
        target = redirect_target(url, found.location)
        if found.status not in (301, 302, 307, 308) or urlsplit(target).netloc != urlsplit(url).netloc:
            break
        url = target
        found = api.fetch_digest(url, etag)
    return found


class EtagCache:
    """Entity tags with the digests of their content, cached on disk per site."""

    def __init__(self, site_url: str) -> None:
        self._path = cache_folder() / f"etags-{hashlib.sha256(site_url.encode()).hexdigest()[:16]}.json"
        self.entries: Mapping[str, CachedDigest] = _read_cache(self._path)
        self._updated: dict[str, CachedDigest] = dict(self.entries)

    def add(self, url: str, found: FetchedDigest) -> None:
        """Weak tags are ignored: they don't promise identical bytes."""
        if found.etag and not found.etag.startswith("W/"):
            self._updated.pop(url, None)
            self._updated[url] = CachedDigest(found.etag, found.sha256)

    def write(self) -> None:
        """The newest, for files of earlier deploys don't come back."""
        for url in list(self._updated)[:-_MAX_CACHED]:
            del self._updated[url]
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps({url: [k.etag, k.sha256] for url, k in self._updated.items()}))
            temporary.replace(self._path)


def _read_cache(path: Path) -> Mapping[str, CachedDigest]:
    try:
        found = json.loads(path.read_text())
        return {str(url): CachedDigest(str(etag), str(sha)) for url, (etag, sha) in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
