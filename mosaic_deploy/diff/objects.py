"""Static and storage files compared by name: what to upload, delete, record, or leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.change import Action
from mosaic_deploy.model.manifest import Prune
from mosaic_deploy.model.manifest_identity import manifest_texts, same_manifest
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, OTHERS_STATES, Object, Objects, ObjectState


@dataclass(frozen=True, slots=True)
class Upload:
    """A desired object to upload. `overwrites`: a live one that this project didn't deploy."""

    item: Object
    action: Action
    reason: str
    overwrites: bool = False


@dataclass(frozen=True, slots=True)
class Deletion:
    """A live object to delete. `unmanaged`: this manifest didn't deploy it."""

    path: str
    reason: str
    unmanaged: bool = False


@dataclass(frozen=True, slots=True)
class ObjectDiff:
    """The difference for one kind of object, each field in order of name."""

    puts: tuple[Upload, ...] = ()
    deletes: tuple[Deletion, ...] = ()
    kept: tuple[Object, ...] = ()
    """Deployed earlier, no longer desired, and left live because pruning is off or impossible."""
    unmanaged: tuple[Object, ...] = ()
    """Live but never deployed by this project, and left alone."""
    adopted: tuple[Object, ...] = ()
    """Live with the desired content, but not deployed by this project: only to be recorded."""
    foreign: tuple[Object, ...] = ()
    """Deployed by other manifests of the project, not desired by this one, and left alone."""
    taken_over: tuple[Object, ...] = ()
    """Desired, but deployed by other manifests of the project until now."""
    live_count: int = 0
    """The live objects that this manifest controls: the desired ones, and those it deletes."""


def diff_objects(
    desired: Objects, live: Objects, *, prune: Prune, prefix: str = "", manifest: str = ""
) -> ObjectDiff:
    """What makes `live` equal `desired`. An unmanaged object with a desired name is overwritten, unless it is equal.

    Other unmanaged objects, and those of other manifests than `manifest`, are deleted only if `prune` is `all`, and
    only below `prefix`.
    """
    undesired = [
        live[path] for path in undesired_paths(desired, live) if live[path].state not in NOT_LIVE_STATES
    ]
    unmanaged = [o for o in undesired if o.state is ObjectState.UNMANAGED]
    foreign = [o for o in undesired if is_foreign(o, manifest)]
    managed = [o for o in undesired if o.state is not ObjectState.UNMANAGED and not is_foreign(o, manifest)]
    deletes = [_deletion(o) for o in managed if prune]
    if prune == "all":
        deletes += [
            Deletion(o.path, "not deployed by this project", unmanaged=True)
            for o in unmanaged
            if o.path.startswith(prefix)
        ]
        deletes += [
            Deletion(o.path, f"deployed by {manifest_texts([o.manifest], manifest)[0]}", unmanaged=True)
            for o in foreign
            if o.path.startswith(prefix)
        ]
    deleted = {delete.path for delete in deletes}
    wanted_live = [live[path] for path in desired if path in live and live[path].state not in NOT_LIVE_STATES]
    return ObjectDiff(
        puts=tuple(sorted(_puts(desired, live), key=lambda put: put.item.path)),
        deletes=tuple(sorted(deletes, key=lambda delete: delete.path)),
        kept=() if prune else tuple(managed),
        unmanaged=tuple(o for o in unmanaged if o.path not in deleted),
        adopted=_by_path(o for o in wanted_live if is_adopted(desired[o.path], o)),
        foreign=tuple(o for o in foreign if o.path not in deleted),
        taken_over=_by_path(o for o in wanted_live if is_foreign(o, manifest)),
        live_count=len(deletes) + len(wanted_live),
    )


def _deletion(found: Object) -> Deletion:
    """Of an object that was deployed. What others have put in its place since is theirs."""
    changed = found.state in _CHANGED_STATES or found.listed_size not in (None, found.size)
    reason = "no longer in the folder"
    return Deletion(
        found.path, f"{reason}; changed since it was deployed" if changed else reason, unmanaged=changed
    )


def undesired_paths(desired: Objects, live: Objects) -> list[str]:
    """Names that are live and not desired, in order."""
    # `keys() - keys()` would first copy all of a million names.
    return sorted(path for path in live if path not in desired)


def is_foreign(found: Object, manifest: str) -> bool:
    """Whether another manifest of the project than `manifest` deployed the object."""
    return not same_manifest(manifest, found.manifest)


def is_adopted(wanted: Object, found: Object) -> bool:
    """Whether an object that this project didn't deploy is live with the desired content."""
    return found.state is ObjectState.UNMANAGED and found.sha256 == wanted.sha256


def _by_path(objects: Iterator[Object]) -> tuple[Object, ...]:
    return tuple(sorted(objects, key=lambda o: o.path))


def _puts(desired: Objects, live: Objects) -> Iterator[Upload]:
    for path, wanted in desired.items():
        found = live.get(path)
        if found is None:
            yield Upload(wanted, Action.ADD, "new")
        elif found.state in _TRUSTED_STATES:
            if found.sha256 != wanted.sha256:
                yield Upload(wanted, Action.CHANGE, "content changed")
        elif found.state in OTHERS_STATES:
            if not is_adopted(wanted, found):
                yield Upload(wanted, Action.CHANGE, _overwrite_reason(wanted, found), overwrites=True)
        else:
            action, why = _REASONS[found.state]
            yield Upload(wanted, action, why(found))


def _overwrite_reason(wanted: Object, found: Object) -> str:
    """How the live object differs; that it couldn't be compared, if neither its size nor its content says so."""
    if found.listed_size is not None and found.listed_size != wanted.size:
        how = f"{size_text(found.listed_size)} live"
    elif _is_compared(found):
        how = "different content"
    else:
        how = "content not compared"
    return f"overwrites {_OTHERS_TEXTS[found.state]} ({how})"


def _is_compared(found: Object) -> bool:
    """Whether its live content was fetched. The digest of what is changed live is still that of what was deployed."""
    if found.state is ObjectState.UNMANAGED:
        return bool(found.sha256)
    return found.state is ObjectState.KEPT_CHANGED and found.listed_size is None


_OTHERS_TEXTS = {
    ObjectState.UNMANAGED: "a file that this project didn't deploy",
    ObjectState.KEPT_CHANGED: "a file that was changed live after it had left the folder",
    ObjectState.REPLACED: "a file that somebody else uploaded after an earlier deploy had stopped",
}


_CHANGED_STATES = frozenset(
    {ObjectState.DRIFTED, ObjectState.ALTERED, ObjectState.KEPT_CHANGED, ObjectState.REPLACED}
)
_TRUSTED_STATES = frozenset({ObjectState.LIVE, ObjectState.KEPT})
_REASONS: dict[ObjectState, tuple[Action, Callable[[Object], str]]] = {
    ObjectState.PENDING: (Action.CHANGE, lambda _: "an earlier deploy stopped before this was done"),
    ObjectState.UNSENT: (Action.ADD, lambda _: "new; an earlier deploy stopped before uploading it"),
    ObjectState.MISSING: (Action.ADD, lambda _: "missing live"),
    ObjectState.DRIFTED: (
        Action.CHANGE,
        lambda o: f"drifted: live size is {o.listed_size} bytes, expected {o.size}",
    ),
    ObjectState.ALTERED: (Action.CHANGE, lambda _: "drifted: live content differs from what was deployed"),
}
