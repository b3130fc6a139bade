"""Plans for `watch` and `dev`: keeps both sides in memory and rereads only what an edit changed.

The plan equals one from scratch. The disk is read completely if an edit is more than new content of known files; the
live side is read again after a run that did more than upload and delete files, or failed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from mosaic_deploy.deploy.planning.plan import compare, read_desired_and_live
from mosaic_deploy.deploy.planning.planned import PlanOptions, PreparedPlan, Target
from mosaic_deploy.deploy.planning.read_target import at_storage_addresses, within_size_limit
from mosaic_deploy.diff.check_record import passed_record
from mosaic_deploy.diff.ledger_cleanup import LedgerCleanup
from mosaic_deploy.diff.missing_pages import check_redirect_pages
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.live.unmanaged import compare_unmanaged
from mosaic_deploy.model.change import (
    Change,
    Delete,
    DeleteStatic,
    DeleteStorageFile,
    PutStatic,
    PutStorageFile,
)
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, ObjectState, unmanaged_object
from mosaic_deploy.source.incremental import FileIndex, index_files, reread_files
from mosaic_deploy.source.snapshot import Desired, read_desired
from mosaic_deploy.sql.execution.records import SEED

_SERIAL_STEPS_PER_DEPLOY = 2
"""A deploy increments the serial when it acquires the lease and when it releases it (live/ledger/lease.py)."""
_FILE_CHANGES = (PutStatic, PutStorageFile, DeleteStatic, DeleteStorageFile)


class IncrementalPlanner:
    """The desired and the live side of one manifest, as far as they are known."""

    def __init__(self, api: Api, manifest: Manifest, target: Target, options: PlanOptions) -> None:
        self._api = api
        self._manifest = manifest
        self._target = target
        self._options = options
        self._live: LiveState | None = None
        self._read_at = time.monotonic()
        """When the live side was read."""
        self._desired: Desired | None = None
        self._index = FileIndex({}, no_links=False)

    def is_deployed(self, path: str) -> bool:
        """Whether the path (relative to the project folder) is a deployed file."""
        return path in self._index.names

    def plan(self, edited: Collection[str]) -> PreparedPlan:
        """The plan after these paths were edited. Raises as `planning.plan.plan` does; the edits aren't lost.

        If the comparison fails, both sides are read again first, because the live side may have changed.
        """
        live = self._live
        if live is not None and not self._is_time_up(live):
            desired = self._read(edited, live)
            with contextlib.suppress(MosaicError):
                live = compare_unmanaged(self._api, live, desired.snapshot, self._options.parallelism)
                self._live = live
                return compare(self._api, desired, live, self._options)
        return self._replan(self._options)

    def _is_time_up(self, live: LiveState) -> bool:
        """Whether a file that was kept for a while is to be deleted by now."""
        spec = self._manifest.static
        if spec is None:
            return False
        elapsed = time.monotonic() - self._read_at
        return any(
            each.retired_at is not None and each.retired_for + elapsed >= spec.keep
            for objects in (live.snapshot.static, live.snapshot.storage)
            for each in (objects or {}).values()
        )

    def forget(self) -> None:
        """Both sides are read again for the next plan."""
        self._live = self._desired = None

    def forget_files(self) -> None:
        """All files are read again for the next plan."""
        self._desired = None

    def plan_files(self) -> PreparedPlan:
        """The plan of static and storage files only, for when the complete one can't be made or applied."""
        return self._replan(replace(self._options, files_only=True))

    def _replan(self, options: PlanOptions) -> PreparedPlan:
        self._live = self._desired = None
        self._read_at = time.monotonic()
        desired, live = read_desired_and_live(self._api, self._manifest, self._target)
        self._remember(desired)
        planned = compare(self._api, desired, live, options)
        # Not kept if read during another deploy. Not kept after an error either (raised above), because it may be fixed
        # on the live side: by a repair of the history, or a larger quota.
        self._live = None if live.ledger_facts.get("lease") else live
        return planned

    def record_apply(self, planned: PreparedPlan, last: ApplyDone | ApplyFailed) -> None:
        """Call after applying the plan, with its last event."""
        self._live = live_after_apply(planned) if isinstance(last, ApplyDone) else None

    def _read(self, edited: Collection[str], live: LiveState) -> Desired:
        previous, self._desired = self._desired, None
        desired = reread_files(previous, self._index, edited) if previous and edited else None
        if desired is None:
            desired = within_size_limit(self._api, read_desired(self._manifest))
            desired = at_storage_addresses(desired, live)
            check_redirect_pages(self._manifest, desired.snapshot)
            self._remember(desired)
        else:
            desired = within_size_limit(self._api, desired)
            if not desired.site.addresses.known:
                desired = at_storage_addresses(desired, live)
        self._desired = desired
        return desired

    def _remember(self, desired: Desired) -> None:
        self._desired = desired
        self._index = index_files(desired)


def live_after_apply(planned: PreparedPlan) -> LiveState | None:
    """The live side after all of `planned` is applied.

    None if that isn't known: the plan changed more than files or rows of files, created the tracking tables, recorded the
    schema, keeps files for a while, which the database's clock measures, was partial, or assumed where storage files are.
    """
    plan, live = planned.plan, planned.live
    if (
        plan.partial
        or not plan.serial
        or planned.schema_pending
        or (planned.desired.site.site.moved and not planned.desired.site.addresses.known)
        or not all(isinstance(change, _FILE_CHANGES) for change in plan.changes)
        or any(isinstance(change, Delete) and change.keep for change in plan.changes)
        or any(rows.other_key for rows in live.unproven.values())  # they count if their files return
    ):
        return None
    cleanup = planned.ledger_cleanup()
    if cleanup.get(SEED) or planned.moved_seeds:
        return None
    before = live.snapshot
    static = _objects_after(
        before.static, plan.changes, (PutStatic, DeleteStatic), cleanup.get(ledger.STATIC)
    )
    storage = _objects_after(
        before.storage, plan.changes, (PutStorageFile, DeleteStorageFile), cleanup.get(ledger.STORAGE)
    )
    snapshot = replace(before, static=static, storage=storage, serial=plan.serial + _SERIAL_STEPS_PER_DEPLOY)
    usage = live.usage
    if usage is not None:
        usage = replace(usage, used=max(0, usage.used + _total_size(storage) - _total_size(before.storage)))
    last = {**(live.ledger_facts.get("last") or {}), "status": "done"}
    policy = planned.policy_record or live.ledger_facts.get("policy")
    owner = planned.owner_record or live.ledger_facts.get("owner")
    verify = planned.desired.manifest.verify
    checks = passed_record(verify) if verify else live.ledger_facts.get("checks")
    facts = {**live.ledger_facts, "last": last, "policy": policy, "owner": owner, "checks": checks}
    return replace(live, snapshot=snapshot, usage=usage, ledger_facts=facts, unproven={})


def _objects_after(
    before: Objects | None,
    changes: Collection[Change],
    kinds: tuple[type[PutStatic | PutStorageFile], type[DeleteStatic | DeleteStorageFile]],
    cleanup: LedgerCleanup | None,
) -> Mapping[str, Object] | None:
    if before is None:
        return None
    after = dict(before)
    for change in changes:
        if isinstance(change, kinds[0]):
            after[change.path] = Object(change.path, change.sha256, change.size)
        elif isinstance(change, kinds[1]):
            after.pop(change.path, None)
    for path in cleanup.forget if cleanup else ():
        # A file of others loses its row, but stays live.
        if path in after and after[path].state in NOT_LIVE_STATES:
            del after[path]
        elif path in after and after[path].state is ObjectState.REPLACED:
            after[path] = unmanaged_object(path, after[path].listed_size)
    after.update({each.path: each for each in (cleanup.mark if cleanup else ())})
    return after


def _total_size(objects: Objects | None) -> int:
    return sum(each.size for each in (objects or {}).values())
