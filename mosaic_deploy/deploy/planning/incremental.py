"""Following edits: the last two sides are kept, and a plan is made of what an edit touched.

The plan is the one that reading both sides anew would give. Whatever can't be told from what is kept is read again:
the disk where an edit is more than new contents of known files, live where a run did more than files, or failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace

from mosaic_deploy.deploy.planning.plan import compare, read_both
from mosaic_deploy.deploy.planning.planned import Planned, PlanOptions, Target
from mosaic_deploy.diff.checks import check_pages
from mosaic_deploy.diff.ledger_cleanup import Tidying
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.snapshot import Live
from mosaic_deploy.model.change import Change, DeleteAsset, DeleteStatic, PutAsset, PutStatic
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Object, Objects
from mosaic_deploy.source.incremental import Places, places, reread
from mosaic_deploy.source.snapshot import Desired, read_desired

_PER_DEPLOY = 2
"""How far a deploy counts the serial on: once when it takes the lease, once when it gives it back (live/lease.py)."""
_FILES = (PutStatic, PutAsset, DeleteStatic, DeleteAsset)


class Following:
    """One manifest's two sides, as they are known."""

    def __init__(self, api: Api, manifest: Manifest, target: Target, options: PlanOptions) -> None:
        self._api = api
        self._manifest = manifest
        self._target = target
        self._options = options
        self._live: Live | None = None
        self._desired: Desired | None = None
        self._places = Places({}, plain=False)

    def deployed(self, shown: str) -> bool:
        """Whether the path below the project folder is a file that is deployed."""
        return shown in self._places.names

    def plan(self, edited: Collection[str]) -> Planned:
        """What an apply would do now that `edited` were. Raises as `planning.plan` does; the edits aren't forgotten.

        What it raises of a comparison is so on both sides as they are read anew: live may have moved.
        """
        live = self._live
        if live is not None:
            desired = self._read(edited)
            with contextlib.suppress(MosaicError):
                return compare(self._api, desired, live, self._options)
        return self._anew(self._options)

    def plan_files(self) -> Planned:
        """The plan of static files and assets alone, where that of the whole can't be made or applied."""
        return self._anew(replace(self._options, files_only=True))

    def _anew(self, options: PlanOptions) -> Planned:
        self._live = self._desired = None
        desired, live = read_both(self._api, self._manifest, self._target)
        self._keep(desired)
        planned = compare(self._api, desired, live, options)
        # What is read while another deploy writes is nothing to build on; after an error neither is anything, since it
        # may be put right on the live side too, by a repair of the history or a larger quota.
        self._live = None if live.facts.get("lease") else live
        return planned

    def ended(self, planned: Planned, last: ApplyDone | ApplyFailed) -> None:
        """The plan was applied, and `last` is how that ended."""
        self._live = advanced(planned) if isinstance(last, ApplyDone) else None

    def _read(self, edited: Collection[str]) -> Desired:
        known, self._desired = self._desired, None
        desired = reread(known, self._places, edited) if known and edited else None
        if desired is None:
            desired = read_desired(self._manifest)
            check_pages(self._manifest, desired.snapshot)
            self._keep(desired)
        self._desired = desired
        return desired

    def _keep(self, desired: Desired) -> None:
        self._desired = desired
        self._places = places(desired)


def advanced(planned: Planned) -> Live | None:
    """What is live once all of `planned` is done, as the ledger and the listings will tell it.

    None where that isn't known: of a plan that did more than files, made the ledger, or left something out.
    """
    plan, live = planned.plan, planned.live
    if plan.partial or not plan.serial or not all(isinstance(change, _FILES) for change in plan.changes):
        return None
    tidying = planned.tidying()
    before = live.snapshot
    static = _after(before.static, plan.changes, (PutStatic, DeleteStatic), tidying.get(ledger.STATIC))
    storage = _after(before.storage, plan.changes, (PutAsset, DeleteAsset), tidying.get(ledger.ASSET))
    snapshot = replace(before, static=static, storage=storage, serial=plan.serial + _PER_DEPLOY)
    usage = live.usage
    if usage is not None:
        usage = replace(usage, used=max(0, usage.used + _bytes(storage) - _bytes(before.storage)))
    last = {**(live.facts.get("last") or {}), "status": "done"}
    return replace(live, snapshot=snapshot, usage=usage, facts={**live.facts, "last": last})


def _after(
    before: Objects | None,
    changes: Collection[Change],
    kinds: tuple[type[PutStatic | PutAsset], type[DeleteStatic | DeleteAsset]],
    tidying: Tidying | None,
) -> Mapping[str, Object] | None:
    if before is None:
        return None
    after = dict(before)
    for change in changes:
        if isinstance(change, kinds[0]):
            after[change.path] = Object(change.path, change.sha256, change.size)
        elif isinstance(change, kinds[1]):
            after.pop(change.path, None)
    for path in tidying.forget if tidying else ():
        after.pop(path, None)
    after.update({each.path: each for each in (tidying.mark if tidying else ())})
    return after


def _bytes(objects: Objects | None) -> int:
    return sum(each.size for each in (objects or {}).values())
