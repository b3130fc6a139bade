"""Compares what is live but wasn't deployed by this project with what is desired, before a deploy over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mosaic_deploy.errors import ApiError, NotFound, OperationUnknown, RequestRefused
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.compare_bytes import EtagCache, file_url, read_digest
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.snapshot import OTHERS_STATES, AuthSettings, Object, Objects, ObjectState, Snapshot

_MAX_COMPARED_BYTES = 256 * 1024 * 1024
"""The most that is fetched, smallest files first. What is left over counts as different."""


def compare_unmanaged(
    api: Api, live: LiveState, desired: Snapshot, parallelism: int, *, verify_auth: bool = False
) -> LiveState:
    """`live`, with the digests of unmanaged files that may equal desired ones, and with unmanaged auth settings.

    Sends requests only if there are any, or if auth changes, or with `verify_auth`. Files whose listed size differs aren't fetched. A file that can't be fetched
    keeps an unknown digest.
    """
    snapshot = live.snapshot
    if not snapshot.project.id or snapshot.project.status != "running":
        return live
    files = sorted(
        [
            *_candidates("static", snapshot.static, desired.static),
            *_candidates("storage", snapshot.storage, desired.storage),
        ],
        key=lambda found: found[2],
    )
    changed = _read_digests(api, live, _within_budget(files), parallelism)
    changes_auth = desired.auth is not None and (verify_auth or desired.auth != snapshot.auth)
    auth = _unmanaged_auth(api, snapshot, desired.auth or {}) if changes_auth else None
    if not any(changed.values()) and auth == snapshot.unmanaged_auth:
        return live
    static = {**(snapshot.static or {}), **changed["static"]} if changed["static"] else snapshot.static
    storage = {**(snapshot.storage or {}), **changed["storage"]} if changed["storage"] else snapshot.storage
    return replace(live, snapshot=replace(snapshot, static=static, storage=storage, unmanaged_auth=auth))


def _candidates(
    kind: str, live: Objects | None, desired: Objects | None
) -> Iterator[tuple[str, Object, int]]:
    """(kind, live object, size) of desired files of which a file of others is live, with the desired size or an unknown one."""
    for path, wanted in (desired or {}).items():
        found = (live or {}).get(path)
        if found is None or found.state not in OTHERS_STATES:
            continue
        if found.state is ObjectState.UNMANAGED and found.sha256:
            continue  # compared already; of the other states it is the digest of what was deployed
        if found.listed_size in (None, wanted.size):
            yield kind, found, wanted.size


def _within_budget(files: list[tuple[str, Object, int]]) -> Iterator[tuple[str, Object]]:
    total = 0
    for kind, found, size in files:
        total += size
        if total > _MAX_COMPARED_BYTES:
            return
        yield kind, found


def _read_digests(
    api: Api, live: LiveState, files: Iterator[tuple[str, Object]], parallelism: int
) -> Mapping[str, dict[str, Object]]:
    """The files whose content could be fetched, with its digest, by kind and path."""
    changed: dict[str, dict[str, Object]] = {"static": {}, "storage": {}}
    base = live.snapshot.project.url
    jobs = [
        (kind, found, url)
        for kind, found in files
        if (url := file_url(kind, found.path, base, live.storage_files))
    ]
    if not jobs:
        return changed
    cache = EtagCache(base)
    api.rate_limiter.set_limit(parallelism)

    def fetch(job: tuple[str, Object, str]) -> tuple[str, Object, str]:
        kind, found, url = job
        try:
            return kind, found, read_digest(api, url, cache)
        except ApiError:
            return kind, found, ""

    with ThreadPoolExecutor(max(1, min(parallelism, len(jobs)))) as pool:
        for kind, found, sha256 in pool.map(fetch, jobs):
            if sha256:
                changed[kind][found.path] = replace(found, sha256=sha256, state=ObjectState.UNMANAGED)
    cache.write()
    return changed


def _unmanaged_auth(api: Api, snapshot: Snapshot, desired: AuthSettings) -> AuthSettings | None:
    """The live settings for magic links, unless they are those that were deployed last; empty if those are gone.

    None also if the platform can't list them. Settings that deploys don't know don't count.
    """
    found = _read_auth(api, snapshot.project.id)
    deployed = snapshot.auth
    if found is None or deployed is None:
        return found or None
    names = deployed.keys() | desired.keys()
    same = all(found.get(name) == deployed.get(name) for name in names)
    return None if same else found


def _read_auth(api: Api, project: str) -> AuthSettings | None:
    """The live settings for magic links; None if the platform can't list them."""
    if not api.supports(endpoints.READ_AUTH):
        return None
    try:
        found = api.call(endpoints.READ_AUTH, project=project)
    except (NotFound, OperationUnknown, RequestRefused):
        return None
    settings = found.get("magic_link", found) if isinstance(found, dict) else None
    return settings if isinstance(settings, dict) else None
