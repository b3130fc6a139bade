"""Corrections to the ledger's rows about objects that the plan doesn't change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mosaic_deploy.diff.objects import is_adopted, is_foreign, undesired_paths
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, ObjectState, UnprovenRows

NO_UNPROVEN = UnprovenRows()


@dataclass(frozen=True, slots=True)
class LedgerCleanup:
    """Row corrections for one kind of object. They touch nothing live."""

    forget: tuple[str, ...] = ()
    """Paths to remove, not desired, and not live or somebody else's: a failed upload, a file that others deleted."""
    mark: tuple[Object, ...] = ()
    """Objects to write, with the states that their rows should have."""
    prove: tuple[Object, ...] = ()
    """Desired objects: rows with their content need new proofs."""

    keep: tuple[str, ...] = ()
    """Paths of rows with a proof of another key, to mark as kept without a new proof."""

    def __bool__(self) -> bool:
        return bool(self.forget or self.mark or self.prove or self.keep)


def ledger_cleanup(
    desired: Objects | None,
    live: Objects | None,
    deleted: Collection[str],
    manifest: str = "",
    unproven: UnprovenRows = NO_UNPROVEN,
) -> LedgerCleanup:
    """The corrections to make after a plan of `manifest` that deletes the paths `deleted`.

    A file that stays live though no longer desired becomes `kept`, so the ledger's digest covers desired files only
    and a plan without changes needn't read rows. Files of other manifests stay as they are, unless they are desired.
    Of files that aren't desired, `unproven` rows are removed, but kept if they have a proof of another key and the files are
    live; those of desired files get new proofs.
    None means the manifest doesn't manage this kind: then only its rows of files that are gone are removed.
    """
    if live is None:
        return LedgerCleanup()
    if desired is None:
        gone = (o.path for o in live.values() if o.state in NOT_LIVE_STATES and not is_foreign(o, manifest))
        return LedgerCleanup(forget=tuple(sorted(gone)))
    undesired = [
        live[path]
        for path in undesired_paths(desired, live)
        if path not in deleted and not is_foreign(live[path], manifest)
    ]
    other_key = [row for row in unproven.other_key if row.path not in deleted]
    return LedgerCleanup(
        forget=(
            *(o.path for o in undesired if o.state in _FORGOTTEN_STATES),
            *unproven.paths,
            *(row.path for row in other_key if row.path not in live),
        ),
        mark=(
            *(_as_kept(o) for o in undesired if o.state not in _SETTLED_STATES),
            *(
                item
                for path, item in desired.items()
                if path in live and _is_to_record(item, live[path], manifest)
            ),
        ),
        prove=tuple(desired.values()) if unproven.stale else (),
        keep=tuple(row.path for row in other_key if row.path in live and row.state is not ObjectState.KEPT),
    )


_FORGOTTEN_STATES = NOT_LIVE_STATES | {ObjectState.REPLACED}
_SETTLED_STATES = _FORGOTTEN_STATES | {ObjectState.KEPT, ObjectState.KEPT_CHANGED, ObjectState.UNMANAGED}


def _as_kept(item: Object) -> Object:
    """The object as kept, with size and digest of what was deployed, also if something else is live now.

    Of a pending one the digest is unknown, and the size is that of the live file.
    """
    if item.state is not ObjectState.PENDING:
        return Object(item.path, item.sha256, item.size, ObjectState.KEPT)
    size = item.size if item.listed_size is None else item.listed_size
    return Object(item.path, "", size, ObjectState.KEPT)


def _is_to_record(item: Object, found: Object, manifest: str) -> bool:
    """Whether a desired file is live with the same content, but recorded otherwise.

    It was kept live, or deployed by another manifest, or not deployed by this project.
    """
    if found.state in (ObjectState.KEPT, ObjectState.LIVE) and found.sha256 == item.sha256:
        return found.state is ObjectState.KEPT or is_foreign(found, manifest)
    return is_adopted(item, found)
