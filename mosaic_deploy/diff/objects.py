"""Objects by name: what to put, what to delete, what is only noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.change import Action
from mosaic_deploy.model.manifest import Prune
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, ObjectState


@dataclass(frozen=True, slots=True)
class ObjectDiff:
    """The difference of one kind, each part in order of name."""

    puts: tuple[tuple[Object, Action, str], ...] = ()
    deletes: tuple[tuple[Object, str], ...] = ()
    kept: tuple[Object, ...] = ()
    """Deployed earlier, no longer desired, and left live: nobody asked to prune, or the platform can't."""
    unmanaged: tuple[Object, ...] = ()
    """Live, but never deployed by this tool, and left alone."""


def diff_objects(desired: Objects, live: Objects, *, prune: Prune, prefix: str = "") -> ObjectDiff:
    """What makes `live` equal `desired`. An unmanaged object of a desired name is taken over.

    Strangers are deleted only where `prune` is `all`, and only below `prefix`: the rest isn't this manifest's.
    """
    gone = [live[path] for path in undesired_paths(desired, live) if live[path].state not in NOT_LIVE_STATES]
    managed = [o for o in gone if o.state is not ObjectState.UNMANAGED]
    strangers = [o for o in gone if o.state is ObjectState.UNMANAGED]
    doomed = [o for o in strangers if prune == "all" and o.path.startswith(prefix)]
    deletes = [(o, "no longer in the folder") for o in managed if prune]
    deletes += [(o, "never deployed from here") for o in doomed]
    return ObjectDiff(
        puts=tuple(sorted(_puts(desired, live), key=lambda put: put[0].path)),
        deletes=tuple(sorted(deletes, key=lambda delete: delete[0].path)),
        kept=() if prune else tuple(managed),
        unmanaged=tuple(o for o in strangers if prune != "all" or not o.path.startswith(prefix)),
    )


def undesired_paths(desired: Objects, live: Objects) -> list[str]:
    """Names that are live and not desired, in order; `keys() - keys()` would copy all of a million names first."""
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
    ObjectState.PENDING: (Action.CHANGE, lambda _: "an earlier deploy ended before this was done"),
    ObjectState.UNSENT: (Action.ADD, lambda _: "new; an earlier deploy ended before this was there"),
    ObjectState.MISSING: (Action.ADD, lambda _: "missing live"),
    ObjectState.DRIFTED: (Action.CHANGE, lambda o: f"drifted: live size {o.listed_size}, expected {o.size}"),
    ObjectState.ALTERED: (Action.CHANGE, lambda _: "drifted: the live bytes are others than were deployed"),
    ObjectState.UNMANAGED: (Action.CHANGE, lambda _: "live already, but not deployed from here"),
}
