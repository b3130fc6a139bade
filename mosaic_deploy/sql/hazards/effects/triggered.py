"""What an act sets off: the bodies of the functions it calls, rules and triggers that these files made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mosaic_deploy.sql.hazards.effects.acts import written_tables
from mosaic_deploy.sql.hazards.effects.routines import Routine
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME, Name, list_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, UNREADABLE_ROUTINE, Effect

_Seen = set[tuple[str, bool]]


def follow_effects(done: Iterable[Effect], scope: Scope) -> Iterator[Effect]:
    """The acts of one statement, each followed by what it sets off, as deep as that goes.

    The caller lets the scope learn each act before it asks for the next. A function is followed once in a statement.
    """
    yield from _follow(done, scope, set())


def _follow(done: Iterable[Effect], scope: Scope, seen: _Seen) -> Iterator[Effect]:
    for effect in done:
        yield effect
        if effect.kind == FUNCTION_CALL:
            name = list_name(effect.node["funcname"])
            yield from _follow_call(name, effect, f"calls {name}(), which ", scope, seen)
        elif effect.kind == "CreateTrigStmt":
            name = list_name(effect.node["funcname"])
            what = f"creates trigger {quote_if_needed(effect.node['trigname'])} on {range_name(effect.node['relation'])}"
            yield from _follow_call(
                name, replace(effect, deferred=True), f"{what}: its function {name}() ", scope, seen
            )
        else:
            yield from _follow_rules_and_triggers(effect, scope, seen)


def _follow_rules_and_triggers(effect: Effect, scope: Scope, seen: _Seen) -> Iterator[Effect]:
    for table, how in written_tables(effect):
        for fired in scope.relation(table).rules_and_triggers:
            if how.isdisjoint(fired.events):
                continue
            via = f"writes to {table}, whose {fired.description} "
            if fired.function:
                yield from _follow_call(fired.function, effect, via, scope, seen)
            elif (key := (f"{fired.description} {table}", effect.deferred)) not in seen:
                seen.add(key)
                yield from _follow((_caused_by(one, effect, via) for one in fired.effects), scope, seen)


def _follow_call(name: Name, effect: Effect, via: str, scope: Scope, seen: _Seen) -> Iterator[Effect]:
    if (key := (str(name), effect.deferred)) in seen:
        return
    seen.add(key)
    for routine in [None] if UNKNOWN_NAME in name else scope.routines(name):
        if routine is None:
            yield _caused_by(Effect(UNREADABLE_ROUTINE, {"name": str(name)}, 0, file_offset=0), effect, via)
        else:
            yield from _follow_routine(routine, effect, via, scope, seen)


def _follow_routine(
    routine: Routine, effect: Effect, via: str, scope: Scope, seen: _Seen
) -> Iterator[Effect]:
    path = scope.search_path
    if routine.search_path:
        scope.search_path = routine.search_path
    yield from _follow((_caused_by(one, effect, via) for one in routine.effects()), scope, seen)
    scope.search_path = path


def _caused_by(inner: Effect, effect: Effect, via: str) -> Effect:
    """The inner act as it happens within the outer one, at its place, told by what set it off first."""
    at = effect.source.offset if effect.file_offset is None and effect.source else effect.file_offset
    source = inner.source or effect.source
    via = effect.cause or via
    return replace(
        inner,
        unit=effect.unit,
        certain=False,
        file_offset=at,
        cause=via,
        deferred=effect.deferred,
        source=source,
    )
