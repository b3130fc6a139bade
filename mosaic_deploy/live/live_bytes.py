"""The live bytes themselves, fetched as a visitor gets them and compared with the ledger's digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.transport import FetchedDigest
from mosaic_deploy.live.snapshot import Listing, LiveState
from mosaic_deploy.model.snapshot import Object, Objects, ObjectState, Snapshot
from mosaic_deploy.user_cache import cache_folder

Progress = Callable[[int, int, int], None]
"""Hears files done, files in all, and bytes that were fetched."""
_MAX_REDIRECTS = 3
_GONE_STATUSES = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class CachedDigest:
    """What a URL's bytes were when they had this entity tag."""

    etag: str
    sha256: str


def verify_live_bytes(
    api: Api, live: LiveState, wanted: Snapshot, parallelism: int, progress: Progress
) -> LiveState:
    """`live` with the states of wanted files corrected by what their URLs answer now.

    Only files that ledger and listing believe in are fetched; the others are put right anyway. An entity tag that
    was seen with these bytes before is asked for, so that an unchanged file costs a request and no body.
    Raises ResponseInvalid where a file can't be fetched: then nothing can be said about it.
    """
    snapshot = live.snapshot
    base = snapshot.project.url
    jobs = [
        *_jobs("static", snapshot.static, wanted.static, None, base),
        *_jobs("storage", snapshot.storage, wanted.storage, live.storage_files),
    ]
    memory = _EtagCache(base)
    api.rate_limiter.set_limit(parallelism)
    altered: dict[str, dict[str, Object]] = {"static": {}, "storage": {}}
    done = fetched = 0
    with ThreadPoolExecutor(max(1, min(parallelism, len(jobs)))) as pool:
        pending = {pool.submit(_verify, api, job, memory): job for job in jobs}
        try:
            for future in as_completed(pending):
                job = pending[future]
                seen, size = future.result()
                done, fetched = done + 1, fetched + size
                if seen is not job.item:
                    altered[job.kind][job.item.path] = seen
                progress(done, len(jobs), fetched)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    memory.write()
    if not any(altered.values()):
        return live
    static = {**(snapshot.static or {}), **altered["static"]}
    storage = {**(snapshot.storage or {}), **altered["storage"]}
    return replace(live, snapshot=replace(snapshot, static=static, storage=storage))


@dataclass(frozen=True, slots=True)
class _Job:
    kind: str
    item: Object
    url: str


def _jobs(
    part: str, live: Objects | None, wanted: Objects | None, listed: Listing | None, base: str = ""
) -> Iterable[_Job]:
    """What can be fetched: a page is where its name says, a stored file where the listing says."""
    for path, item in (live or {}).items():
        if item.state is ObjectState.LIVE and path in (wanted or {}):
            _, listed_url = (listed or {}).get(path, (None, ""))
            if url := listed_url or (base and f"{base}/{quote(path)}"):
                yield _Job(part, item, url)


def _verify(api: Api, job: _Job, memory: _EtagCache) -> tuple[Object, int]:
    """The object as its URL answers, and how many bytes were fetched for that."""
    known = memory.entries.get(job.url)
    etag = known.etag if known and known.sha256 == job.item.sha256 else ""
    found = _fetch_following_redirects(api, job.url, etag)
    if found.status == 304 and etag:
        return job.item, 0
    if found.status in _GONE_STATUSES:
        return replace(job.item, state=ObjectState.MISSING), found.size
    if found.status != 200:
        raise ResponseInvalid(
            f"{job.url} answers {found.status}, so its bytes can't be compared",
            hint="plan without --verify compares sizes alone",
            status=found.status,
        )
    if found.sha256 != job.item.sha256:
        return replace(job.item, state=ObjectState.ALTERED), found.size
    memory.add(job.url, found)
    return job.item, found.size


def _fetch_following_redirects(api: Api, url: str, etag: str) -> FetchedDigest:
    """The answer after redirects within the same host, such as from `/index.html` to `/`."""
    found = api.fetch_digest(url, etag)
    for _ in range(_MAX_REDIRECTS):
        target = urljoin(url, found.location)
        if found.status not in (301, 302, 307, 308) or urlsplit(target).netloc != urlsplit(url).netloc:
            break
        url = target
        found = api.fetch_digest(url, etag)
    return found


class _EtagCache:
    """Entity tags seen with their digests, on disk by site; losing it costs time alone."""

    def __init__(self, site: str) -> None:
        self._path = cache_folder() / f"etags-{hashlib.sha256(site.encode()).hexdigest()[:16]}.json"
        self.entries: Mapping[str, CachedDigest] = _read_cache(self._path)
        self._updated: dict[str, CachedDigest] = dict(self.entries)

    def add(self, url: str, found: FetchedDigest) -> None:
        """A weak tag promises the meaning, not the bytes; it isn't kept."""
        if found.etag and not found.etag.startswith("W/"):
            self._updated[url] = CachedDigest(found.etag, found.sha256)

    def write(self) -> None:
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
