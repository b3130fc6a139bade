"""Objects by name: what to put, what to delete, what is only noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.change import Action
from mosaic_deploy.model.snapshot import Object, Objects, State


@dataclass(frozen=True, slots=True)
class Keyed:
    """The difference of one kind, each part in order of name."""

    puts: tuple[tuple[Object, Action, str], ...]
    deletes: tuple[tuple[Object, str], ...]
    kept: tuple[Object, ...]
    """Deployed earlier, no longer desired, and left live because nobody asked to prune."""
    unmanaged: tuple[Object, ...]
    """Live, but never deployed by this tool: reported, never touched."""


def diff_objects(desired: Objects, live: Objects, *, prune: bool) -> Keyed:
    """What makes `live` equal `desired`. An unmanaged object of a desired name is taken over."""
    puts = tuple(_sorted(_puts(desired, live)))
    gone = [
        live[path] for path in sorted(live.keys() - desired.keys()) if live[path].state is not State.MISSING
    ]
    managed = [o for o in gone if o.state is not State.UNMANAGED]
    return Keyed(
        puts=puts,
        deletes=tuple((o, "no longer in the folder") for o in managed) if prune else (),
        kept=() if prune else tuple(managed),
        unmanaged=tuple(o for o in gone if o.state is State.UNMANAGED),
    )


def _puts(desired: Objects, live: Objects) -> Iterator[tuple[Object, Action, str]]:
    for path, wanted in desired.items():
        found = live.get(path)
        if found is None:
            yield wanted, Action.ADD, "new"
        elif found.state is State.LIVE:
            if found.sha256 != wanted.sha256:
                yield wanted, Action.CHANGE, "content changed"
        else:
            action, why = _REASONS[found.state]
            yield wanted, action, why(found)


def _sorted(puts: Iterator[tuple[Object, Action, str]]) -> list[tuple[Object, Action, str]]:
    return sorted(puts, key=lambda put: put[0].path)


_REASONS: dict[State, tuple[Action, Callable[[Object], str]]] = {
    State.PENDING: (Action.CHANGE, lambda _: "an earlier upload was interrupted"),
    State.MISSING: (Action.ADD, lambda _: "drifted: no longer live"),
    State.DRIFTED: (Action.CHANGE, lambda o: f"drifted: live size {o.listed_size}, expected {o.size}"),
    State.UNMANAGED: (Action.CHANGE, lambda _: "live already, but not deployed from here"),
}
