"""Static and storage files compared by name: what to upload, delete, or leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.change import Action
from mosaic_deploy.model.manifest import Prune
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, ObjectState


@dataclass(frozen=True, slots=True)
class ObjectDiff:
    """The difference for one kind of object, each field in order of name."""

    puts: tuple[tuple[Object, Action, str], ...] = ()
    deletes: tuple[tuple[Object, str], ...] = ()
    kept: tuple[Object, ...] = ()
    """Deployed earlier, no longer desired, and left live because pruning is off or impossible."""
    unmanaged: tuple[Object, ...] = ()
    """Live but never deployed by this project, and left alone."""


def diff_objects(desired: Objects, live: Objects, *, prune: Prune, prefix: str = "") -> ObjectDiff:
    """What makes `live` equal `desired`. An unmanaged object with a desired name is overwritten.

    Other unmanaged objects are deleted only if `prune` is `all`, and only below `prefix`.
    """
    undesired = [
        live[path] for path in undesired_paths(desired, live) if live[path].state not in NOT_LIVE_STATES
    ]
    managed = [o for o in undesired if o.state is not ObjectState.UNMANAGED]
    unmanaged = [o for o in undesired if o.state is ObjectState.UNMANAGED]
    pruned = [o for o in unmanaged if prune == "all" and o.path.startswith(prefix)]
    deletes = [(o, "no longer in the folder") for o in managed if prune]
    deletes += [(o, "not deployed by this project") for o in pruned]
    return ObjectDiff(
        puts=tuple(sorted(_puts(desired, live), key=lambda put: put[0].path)),
        deletes=tuple(sorted(deletes, key=lambda delete: delete[0].path)),
        kept=() if prune else tuple(managed),
        unmanaged=tuple(o for o in unmanaged if prune != "all" or not o.path.startswith(prefix)),
    )


def undesired_paths(desired: Objects, live: Objects) -> list[str]:
    """Names that are live and not desired, in order."""
    # `keys() - keys()` would first copy all of a million names.
    return sorted(path for path in live if path not in desired)


def _puts(desired: Objects, live: Objects) -> Iterator[tuple[Object, Action, str]]:
    for path, wanted in desired.items():
        found = live.get(path)
        if found is None:
            yield wanted, Action.ADD, "new"
        elif found.state in _TRUSTED_STATES:
            if found.sha256 != wanted.sha256:
                yield wanted, Action.CHANGE, "content changed"
        else:
            action, why = _REASONS[found.state]
            yield wanted, action, why(found)


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
    ObjectState.UNMANAGED: (Action.CHANGE, lambda _: "already live, but not deployed by this project"),
}
