"""`storage rm`: the plan of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mosaic_deploy.deploy.planning.read_target import within_size_limit
from mosaic_deploy.deploy.storage.patterns import chosen_names
from mosaic_deploy.deploy.storage.put import refuse_managed
from mosaic_deploy.deploy.storage.stored import Stored
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.errors import OperationUnknown
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.endpoints import DELETE_STORAGE_FILE
from mosaic_deploy.model.change import DeleteStorageFile
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import ObjectState
from mosaic_deploy.source.snapshot import read_desired

_CHANGED = frozenset({ObjectState.DRIFTED, ObjectState.ALTERED, ObjectState.PENDING})
"""States of deployed files of which something else may be live."""


def plan_removal(
    api: Api, stored: Stored, arguments: Sequence[str], *, left: bool = False, managed: bool = False
) -> Plan:
    """The deletions of the files that `arguments` choose. With `left`, of those that this manifest deployed earlier and doesn't
    name any longer; without arguments, of all of them. Reads only.

    Raises StorageFileMissing, StorageFileManaged for files that a manifest deploys, unless `managed`, and OperationUnknown if
    the platform can't delete. With `left` also what `read_desired` raises: a file that can't be read isn't left over.
    """
    names: Collection[str] = stored.sizes
    if left:
        names = _left_names(api, stored)
    chosen = sorted(chosen_names(arguments, frozenset(names)) if arguments else names if left else ())
    if not managed:
        refuse_managed(chosen, stored.deployed_by)
    if chosen and not api.supports(DELETE_STORAGE_FILE):
        raise OperationUnknown(
            f"this platform has no endpoint for: {DELETE_STORAGE_FILE.name}",
            hint="delete the files in its dashboard",
        )
    changes = tuple(_deletion(stored, name) for name in chosen)
    # As in an apply: deleting all or most of what the manifest deployed needs approval.
    own = any(not change.unmanaged for change in changes)
    counts = {"storage": len(stored.deployed) if own else len(stored.sizes)}
    return apply_policy(Plan(stored.project, changes, (), "", "", 0, live_counts=counts), (), stored.manifest)


def _left_names(api: Api, stored: Stored) -> list[str]:
    """Without the site's files that open pages may still load, which the next applies delete."""
    if not stored.deployed:
        return []
    wanted = within_size_limit(api, read_desired(stored.manifest)).snapshot.storage or {}
    return [name for name, o in stored.deployed.items() if name not in wanted and o.retired_at is None]


def _deletion(stored: Stored, name: str) -> DeleteStorageFile:
    """`unmanaged` unless it is certainly what this manifest deployed."""
    found = stored.deployed.get(name)
    if reason := stored.deployed_by(name):
        return DeleteStorageFile(name, reason, unmanaged=True)
    if found is None:
        return DeleteStorageFile(name, "not deployed by this manifest", unmanaged=True)
    if found.state in _CHANGED or found.listed_size not in (None, found.size):
        return DeleteStorageFile(
            name, "deployed by this manifest earlier; changed since it was deployed", unmanaged=True
        )
    return DeleteStorageFile(name, "deployed by this manifest earlier, which doesn't name it any longer")
