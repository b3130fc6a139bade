"""What an act sets off: the bodies of the functions it calls, rules and triggers that these files made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mosaic_deploy.sql.hazards.effects.acts import written
from mosaic_deploy.sql.hazards.effects.routines import Routine
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN, Name, of_items, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import CALL, UNREAD, Act

_Seen = set[tuple[str, bool]]


def happening(done: Iterable[Act], scope: Scope) -> Iterator[Act]:
    """The acts of one statement, each followed by what it sets off, as deep as that goes.

    The caller lets the scope learn each act before it asks for the next. A function is followed once in a statement.
    """
    yield from _followed(done, scope, set())


def _followed(done: Iterable[Act], scope: Scope, seen: _Seen) -> Iterator[Act]:
    for act in done:
        yield act
        if act.kind == CALL:
            name = of_items(act.node["funcname"])
            yield from _called(name, act, f"calls {name}(), which ", scope, seen)
        elif act.kind == "CreateTrigStmt":
            name = of_items(act.node["funcname"])
            what = f"creates trigger {shown(act.node['trigname'])} on {of_range(act.node['relation'])}"
            yield from _called(name, replace(act, later=True), f"{what}: its function {name}() ", scope, seen)
        else:
            yield from _fired(act, scope, seen)


def _fired(act: Act, scope: Scope, seen: _Seen) -> Iterator[Act]:
    for table, how in written(act):
        for fired in scope.relation(table).fires:
            if how.isdisjoint(fired.events):
                continue
            via = f"writes to {table}, whose {fired.what} "
            if fired.function:
                yield from _called(fired.function, act, via, scope, seen)
            elif (key := (f"{fired.what} {table}", act.later)) not in seen:
                seen.add(key)
                yield from _followed((_set_off(one, act, via) for one in fired.acts), scope, seen)


def _called(name: Name, act: Act, via: str, scope: Scope, seen: _Seen) -> Iterator[Act]:
    if (key := (str(name), act.later)) in seen:
        return
    seen.add(key)
    for routine in [None] if UNKNOWN in name else scope.routines(name):
        if routine is None:
            yield _set_off(Act(UNREAD, {"name": str(name)}, 0, at=0), act, via)
        else:
            yield from _body(routine, act, via, scope, seen)


def _body(routine: Routine, act: Act, via: str, scope: Scope, seen: _Seen) -> Iterator[Act]:
    path = scope.path
    if routine.path:
        scope.path = routine.path
    yield from _followed((_set_off(one, act, via) for one in routine.acts()), scope, seen)
    scope.path = path


def _set_off(inner: Act, act: Act, via: str) -> Act:
    """The inner act as it happens within the outer one, at its place, told by what set it off first."""
    at = act.source.offset if act.at is None and act.source else act.at
    source = inner.source or act.source
    via = act.via or via
    return replace(inner, unit=act.unit, certain=False, at=at, via=via, later=act.later, source=source)
