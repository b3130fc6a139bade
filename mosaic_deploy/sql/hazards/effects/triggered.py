"""What an effect triggers: called functions, and rules and triggers that the reviewed files create."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mosaic_deploy.sql.hazards.effects.routines import Routine
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import written_tables
from mosaic_deploy.sql.hazards.effects.stored_calls import stored_calls
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME, Name, list_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, UNREADABLE_ROUTINE, Effect

_Seen = set[tuple[str, bool, bool]]


def follow_effects(effects: Iterable[Effect], scope: Scope) -> Iterator[Effect]:
    """The effects of one statement, each followed by what it triggers, recursively.

    The caller must apply each effect to the scope before asking for the next. A function is followed once per
    statement.
    """
    yield from _follow(effects, scope, set())


def _follow(effects: Iterable[Effect], scope: Scope, seen: _Seen) -> Iterator[Effect]:
    for effect in effects:
        yield effect
        for name, cause in stored_calls(effect):
            yield from _follow_call(name, replace(effect, stored=True), cause, scope, seen)
        if effect.kind == FUNCTION_CALL:
            name = list_name(effect.node["funcname"])
            yield from _follow_call(name, effect, f"calls {name}(), which ", scope, seen)
        elif effect.kind == "CreateTrigStmt":
            name = list_name(effect.node["funcname"])
            trigger = quote_if_needed(effect.node["trigname"])
            what = f"creates trigger {trigger} on {range_name(effect.node['relation'])}"
            yield from _follow_call(
                name, replace(effect, deferred=True), f"{what}: its function {name}() ", scope, seen
            )
        else:
            yield from _follow_rules_and_triggers(effect, scope, seen)


def _follow_rules_and_triggers(effect: Effect, scope: Scope, seen: _Seen) -> Iterator[Effect]:
    for table, events in written_tables(effect):
        for fired in scope.relation(table).rules_and_triggers:
            if events.isdisjoint(fired.events):
                continue
            cause = f"writes to {table}, whose {fired.description} "
            if fired.function:
                yield from _follow_call(fired.function, effect, cause, scope, seen)
            elif (key := (f"{fired.description} {table}", effect.deferred, effect.stored)) not in seen:
                seen.add(key)
                yield from _follow((_caused_by(one, effect, cause) for one in fired.effects), scope, seen)


def _follow_call(name: Name, effect: Effect, cause: str, scope: Scope, seen: _Seen) -> Iterator[Effect]:
    if (key := (str(name), effect.deferred, effect.stored)) in seen:
        return
    seen.add(key)
    for routine in [None] if UNKNOWN_NAME in name else scope.routines.named(name):
        if routine is None:
            yield _caused_by(Effect(UNREADABLE_ROUTINE, {"name": str(name)}, 0, file_offset=0), effect, cause)
        else:
            yield from _follow_routine(routine, effect, cause, scope, seen)


def _follow_routine(
    routine: Routine, effect: Effect, cause: str, scope: Scope, seen: _Seen
) -> Iterator[Effect]:
    path = scope.search_path
    if routine.search_path:
        scope.search_path = routine.search_path
    yield from _follow((_caused_by(one, effect, cause) for one in routine.effects()), scope, seen)
    scope.search_path = path


def _caused_by(inner: Effect, effect: Effect, cause: str) -> Effect:
    """The inner effect as part of the outer one: at its location, with the outermost cause."""
    at = effect.source.offset if effect.file_offset is None and effect.source else effect.file_offset
    source = inner.source or effect.source
    return replace(
        inner,
        step=effect.step,
        certain=False,
        file_offset=at,
        cause=effect.cause or cause,
        deferred=effect.deferred,
        stored=effect.stored,
        source=source,
    )
