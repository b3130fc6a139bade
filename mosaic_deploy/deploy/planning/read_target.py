"""Reads the live side of a plan or the recorded policy, and checks early whether storage files fit."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mosaic_deploy.deploy.planning.planned import Target
from mosaic_deploy.diff.limits import refuse_over_quota
from mosaic_deploy.diff.policies import changed_rules, recorded_policy, stricter_policy
from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.diff.schema_drift import of_managed_objects
from mosaic_deploy.errors import NotFound
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
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Project, Snapshot
from mosaic_deploy.source.files.folder import BeforeHashing
from mosaic_deploy.source.files.walk import WalkedFile
from mosaic_deploy.source.manifest.find import manifest_identity

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
