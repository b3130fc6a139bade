"""Reads the live side of a plan or the recorded policy: what may be pruned there, where storage files are, and whether they fit."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mosaic_deploy.deploy.planning.planned import PreparedPlan, Target
from mosaic_deploy.diff.limits import ALWAYS_ACCEPTED_SIZE, refuse_over_quota
from mosaic_deploy.diff.objects import Retirement
from mosaic_deploy.diff.plan import PlanRules
from mosaic_deploy.diff.policies import changed_rules, recorded_policy, stricter_policy
from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.diff.schema_drift import of_managed_objects
from mosaic_deploy.errors import NotFound, SourceRefused
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects, select_project
from mosaic_deploy.live.find_project import find_project
from mosaic_deploy.live.ledger.read import read_policy_record
from mosaic_deploy.live.snapshot import (
    LiveState,
    read_live,
    read_storage_sizes_and_usage,
    storage_urls,
)
from mosaic_deploy.live.storage_urls import Listing, find_storage_urls
from mosaic_deploy.model.change import Change, PutStatic, PutStorageFile
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX, Manifest, Prune
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, ObjectState, Project, Snapshot
from mosaic_deploy.source.files.folder import BeforeHashing
from mosaic_deploy.source.files.walk import WalkedFile
from mosaic_deploy.source.manifest.find import manifest_identity
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.snapshot import (
    AUTH_FILE,
    Desired,
    storage_prefix,
    with_site,
    with_storage_addresses,
)

_PROVISIONING = "provisioning"
PREINSTALLED = frozenset({"vector", "uuid-ossp", "pgcrypto"})
"""Extensions of every new database, by the platform's guide. An apply creates missing ones (applying/settings.py)."""

_MIN_UNREAD_BYTES = 256 * 1024 * 1024
"""Hashing this takes about a second. Below that, the plan itself reports soon enough that files don't fit."""


def read_target(api: Api, target: Target, desired: Snapshot, manifest: Manifest) -> LiveState:
    """Lists the projects and reads the selected one, concurrently if its ID is known. Its schema is compared without what
    `manifest` says that the project doesn't manage."""
    live = _read_target(api, target, desired)
    if live.schema is None:
        return live
    return replace(live, schema=of_managed_objects(live.schema, Unmanaged(manifest.unmanaged)))


def _read_target(api: Api, target: Target, desired: Snapshot) -> LiveState:
    if target.id is None:
        found = find_project(api, id=None, name=target.name, hint=target.hint)
        return replace(_read_live_project(api, found.project, target, desired), empty_projects=found.empty)
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(read_projects, api)
        try:
            live = read_live(api, Project(target.id, target.name or ""), desired)
        except NotFound:
            live = None
        project = select_project(listing.result(), id=target.id, name=None)
    if live is None or project is None or project.status == _PROVISIONING:
        return _read_live_project(api, project, target, desired)
    urls = storage_urls(api, project, live.storage_files)
    return replace(live, snapshot=replace(live.snapshot, project=project), storage_urls=urls)


def _read_live_project(api: Api, project: Project | None, target: Target, desired: Snapshot) -> LiveState:
    if project is None:
        absent = Project("", target.name or "", status="absent")
        return _empty_state(api, absent)
    if project.status == _PROVISIONING:
        return _empty_state(api, project)
    return read_live(api, project, desired)


def _empty_state(api: Api, project: Project) -> LiveState:
    empty = Snapshot(project, extensions=PREINSTALLED)
    return LiveState(empty, ledger_exists=False, storage_urls=storage_urls(api, project, None))


def storage_quota_check(api: Api, id: str | None, name: str | None, hint: str | None) -> BeforeHashing:
    """A check that raises QuotaExceeded, before hashing, for storage files that don't fit into the project's storage.

    It compares sizes. It costs two requests, so it is skipped unless hashing would take long.
    """

    def check(files: Sequence[WalkedFile], bytes_to_hash: int) -> None:
        if bytes_to_hash < _MIN_UNREAD_BYTES:
            return
        project = find_project(api, id=id, name=name, hint=hint).project
        stored = (
            read_storage_sizes_and_usage(api, project.id)
            if project and project.status != _PROVISIONING
            else None
        )
        if stored is not None:
            refuse_over_quota({file.name: file.status.st_size for file in files}, *stored)

    return check


def with_recorded_policy(api: Api, project: str, manifest: Manifest) -> Manifest:
    """The manifest with what its own policy or that of the last deploy forbids: only an apply loosens a policy."""
    recorded = recorded_policy(read_policy_record(api, project), manifest_identity(manifest.file))
    if recorded is None:
        return manifest
    policy = stricter_policy(manifest.policy, recorded)
    held = frozenset(f"policy.{name}" for name in changed_rules(manifest.policy, policy))
    located = {path: place for path, place in manifest.locations.items() if path not in held}
    return replace(manifest, policy=policy, held_rules=held, locations=located)


def within_size_limit(api: Api, desired: Desired) -> Desired:
    """`desired` with the site's files in storage that are too large for static hosting, if they may be there.

    Asks for the platform's limit only if there are large ones. Raises SourceRefused and SourceChanged.
    """
    site = desired.site.site
    is_large = any(file.object.size > ALWAYS_ACCEPTED_SIZE for file in site.files.values())
    if not site.storing or site.limit is not None or not is_large:
        return desired
    limit = api.static_file_limit()
    return desired if limit is None else with_site(desired, desired.site.within(limit))


def at_storage_addresses(desired: Desired, live: LiveState) -> Desired:
    """`desired` with references to storage files as the platform's listing shows their addresses.

    Raises SourceRefused if it doesn't, and the site's files need them; SourceChanged.
    """
    project = live.snapshot.project
    if not project.id or project.status == _PROVISIONING:
        return desired
    return _at_listed_addresses(desired, live.storage_files, project.url)


def _at_listed_addresses(desired: Desired, listed: Listing | None, site: str) -> Desired:
    if not desired.site.site.moved:
        return desired
    addresses = None if listed is None else site_storage_addresses(listed, site)
    if addresses is None:
        raise SourceRefused(
            "the site's files can't be put into storage: the platform lists no lasting addresses of storage files",
            hint="set static.unsupported to error, and exclude the files or put them where they have an address",
        )
    return with_storage_addresses(desired, addresses)


def site_storage_addresses(listed: Listing, site: str) -> StorageAddresses | None:
    """Where the platform serves the site's files in storage; None if it lists no addresses, or none that last.

    URLs on the site's own host become paths, so they hold under every name of the site.
    """
    if not listed:
        return StorageAddresses(site=site)
    urls = find_storage_urls(listed, site, embedded=False)
    if len(urls.listed) < len(listed) or not urls.lasting:
        return None
    others = sorted(urls.exceptions(SITE_STORAGE_PREFIX).items())
    exceptions = tuple((name, _below(url, site)) for name, url in others)
    return StorageAddresses(_below(urls.base, site), site, known=True, listed=exceptions)


def _below(url: str, site: str) -> str:
    return url[len(site) :] if site and url.startswith(f"{site}/") else url


def at_listed_addresses(planned: PreparedPlan, listed: Listing | None, site: str) -> PreparedPlan:
    """The plan after the site's files were put into storage, of files with the addresses that they have there.

    Raises as `at_storage_addresses`.
    """
    desired = _at_listed_addresses(planned.desired, listed, site)
    changes = tuple(_with_object(change, desired.snapshot) for change in planned.plan.changes)
    return replace(planned, desired=desired, plan=replace(planned.plan, changes=changes))


def _with_object(change: Change, desired: Snapshot) -> Change:
    if not isinstance(change, PutStatic | PutStorageFile):
        return change
    wanted = (desired.static if isinstance(change, PutStatic) else desired.storage) or {}
    found = wanted.get(change.path)
    return replace(change, sha256=found.sha256, size=found.size) if found else change


def plan_rules(api: Api, source: Desired, desired: Snapshot, live: LiveState) -> PlanRules:
    """Pruning as in the manifest, unless the platform can't delete. Checks that only if something would be deleted."""
    manifest, snapshot = source.manifest, live.snapshot
    static: Prune = manifest.static.prune if manifest.static else False
    storage_files: Prune = manifest.storage.prune if manifest.storage else False
    site_storage = static if manifest.site_uses_storage else False
    impossible = set()
    if _would_delete(desired.static, snapshot.static, static) and not api.supports(
        endpoints.DELETE_STATIC_FILE
    ):
        static = False
        impossible.add("static")
    of_site, own = _split(snapshot.storage, by_prefix=manifest.site_uses_storage)
    deletes = _would_delete(desired.storage, own, storage_files) or _would_delete(
        desired.storage, of_site, site_storage
    )
    if deletes and not api.supports(endpoints.DELETE_STORAGE_FILE):
        storage_files = site_storage = False
        impossible.add("storage")
    return PlanRules(
        static,
        storage_files,
        storage_prefix(manifest),
        manifest.storage is not None,
        manifest.site_uses_storage,
        site_storage,
        frozenset(impossible),
        environment=manifest.environment,
        manifest=desired.manifest,
        generated=frozenset(source.generated),
        other_key={
            kind: frozenset(row.path for row in rows.other_key) for kind, rows in live.unproven.items()
        },
        retirement=Retirement(manifest.static.keep if manifest.static else 0.0),
        left_out=frozenset({AUTH_FILE} if snapshot.auth and manifest.magic_link is None else ()),
    )


def _split(objects: Objects | None, *, by_prefix: bool) -> tuple[Objects, Objects]:
    """The site's files in storage, and the others."""
    of_site: dict[str, Object] = {}
    others: dict[str, Object] = {}
    for path, o in (objects or {}).items():
        (of_site if by_prefix and path.startswith(SITE_STORAGE_PREFIX) else others)[path] = o
    return of_site, others


def _would_delete(desired: Objects | None, live: Objects | None, prune: Prune) -> bool:
    if not prune or desired is None or live is None:
        return False
    kept_states = NOT_LIVE_STATES if prune == "all" else NOT_LIVE_STATES | {ObjectState.UNMANAGED}
    return any(o.state not in kept_states and path not in desired for path, o in live.items())
