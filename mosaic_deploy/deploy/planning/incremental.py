"""Following edits: the last two sides are kept, and a plan is made of what an edit touched.

The plan is the one that reading both sides anew would give. Whatever can't be told from what is kept is read again:
the disk where an edit is more than new contents of known files, live where a run did more than files, or failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace

from mosaic_deploy.deploy.planning.plan import compare, read_desired_and_live
from mosaic_deploy.deploy.planning.planned import PlanOptions, PreparedPlan, Target
from mosaic_deploy.diff.checks import check_redirect_pages
from mosaic_deploy.diff.ledger_cleanup import LedgerCleanup
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import Change, DeleteStatic, DeleteStorageFile, PutStatic, PutStorageFile
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Object, Objects
from mosaic_deploy.source.incremental import FileIndex, index_files, reread_files
from mosaic_deploy.source.snapshot import Desired, read_desired

_SERIAL_STEPS_PER_DEPLOY = 2
"""How far a deploy counts the serial on: once when it takes the lease, once when it gives it back (live/lease.py)."""
_FILE_CHANGES = (PutStatic, PutStorageFile, DeleteStatic, DeleteStorageFile)


class IncrementalPlanner:
    """One manifest's two sides, as they are known."""

    def __init__(self, api: Api, manifest: Manifest, target: Target, options: PlanOptions) -> None:
        self._api = api
        self._manifest = manifest
        self._target = target
        self._options = options
        self._live: LiveState | None = None
        self._desired: Desired | None = None
        self._places = FileIndex({}, no_links=False)

    def is_deployed(self, shown: str) -> bool:
        """Whether the path below the project folder is a file that is deployed."""
        return shown in self._places.names

    def plan(self, edited: Collection[str]) -> PreparedPlan:
        """What an apply would do now that `edited` were. Raises as `planning.plan` does; the edits aren't forgotten.

        What it raises of a comparison is so on both sides as they are read anew: live may have moved.
        """
        live = self._live
        if live is not None:
            desired = self._read(edited)
            with contextlib.suppress(MosaicError):
                return compare(self._api, desired, live, self._options)
        return self._replan(self._options)

    def plan_files(self) -> PreparedPlan:
        """The plan of static files and assets alone, where that of the whole can't be made or applied."""
        return self._replan(replace(self._options, files_only=True))

    def _replan(self, options: PlanOptions) -> PreparedPlan:
        self._live = self._desired = None
        desired, live = read_desired_and_live(self._api, self._manifest, self._target)
        self._remember(desired)
        planned = compare(self._api, desired, live, options)
        # What is read while another deploy writes is nothing to build on; after an error neither is anything, since it
        # may be put right on the live side too, by a repair of the history or a larger quota.
        self._live = None if live.ledger_facts.get("lease") else live
        return planned

    def record_apply(self, planned: PreparedPlan, last: ApplyDone | ApplyFailed) -> None:
        """The plan was applied, and `last` is how that ended."""
        self._live = live_after_apply(planned) if isinstance(last, ApplyDone) else None

    def _read(self, edited: Collection[str]) -> Desired:
        known, self._desired = self._desired, None
        desired = reread_files(known, self._places, edited) if known and edited else None
        if desired is None:
            desired = read_desired(self._manifest)
            check_redirect_pages(self._manifest, desired.snapshot)
            self._remember(desired)
        self._desired = desired
        return desired

    def _remember(self, desired: Desired) -> None:
        self._desired = desired
        self._places = index_files(desired)


def live_after_apply(planned: PreparedPlan) -> LiveState | None:
    """What is live once all of `planned` is done, as the ledger and the listings will tell it.

    None where that isn't known: of a plan that did more than files, made the ledger, or left something out.
    """
    plan, live = planned.plan, planned.live
    if (
        plan.partial
        or not plan.serial
        or not all(isinstance(change, _FILE_CHANGES) for change in plan.changes)
    ):
        return None
    ledger_cleanup = planned.ledger_cleanup()
    before = live.snapshot
    static = _objects_after(
        before.static, plan.changes, (PutStatic, DeleteStatic), ledger_cleanup.get(ledger.STATIC)
    )
    storage = _objects_after(
        before.storage, plan.changes, (PutStorageFile, DeleteStorageFile), ledger_cleanup.get(ledger.STORAGE)
    )
    snapshot = replace(before, static=static, storage=storage, serial=plan.serial + _SERIAL_STEPS_PER_DEPLOY)
    usage = live.usage
    if usage is not None:
        usage = replace(usage, used=max(0, usage.used + _total_size(storage) - _total_size(before.storage)))
    last = {**(live.ledger_facts.get("last") or {}), "status": "done"}
    return replace(live, snapshot=snapshot, usage=usage, ledger_facts={**live.ledger_facts, "last": last})


def _objects_after(
    before: Objects | None,
    changes: Collection[Change],
    kinds: tuple[type[PutStatic | PutStorageFile], type[DeleteStatic | DeleteStorageFile]],
    ledger_cleanup: LedgerCleanup | None,
) -> Mapping[str, Object] | None:
    if before is None:
        return None
    after = dict(before)
    for change in changes:
        if isinstance(change, kinds[0]):
            after[change.path] = Object(change.path, change.sha256, change.size)
        elif isinstance(change, kinds[1]):
            after.pop(change.path, None)
    for path in ledger_cleanup.forget if ledger_cleanup else ():
        after.pop(path, None)
    after.update({each.path: each for each in (ledger_cleanup.mark if ledger_cleanup else ())})
    return after


def _total_size(objects: Objects | None) -> int:
    return sum(each.size for each in (objects or {}).values())
