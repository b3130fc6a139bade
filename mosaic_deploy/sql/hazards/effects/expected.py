"""What the statements of a step are expected to do to live tables and objects, which the guard compares with what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.model.effects import EffectKind
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.sql.guard.agreement import ANY_EFFECT, Agreement, object_key
from mosaic_deploy.sql.guard.rewrites import REWRITING
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.touched_tables import touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.syntax.names import Name, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands

_CHANGES_VALUES = ("AT_AlterColumnType", "AT_SetExpression", "AT_AlterColumnGenericOptions")


@dataclass(frozen=True, slots=True)
class StepWrites:
    """`updates` are the live tables whose rows a step updates, with `(≈2 k rows)` after the name; `retypes` those with a column of
    another type afterwards, `rewrites` those that a block alters, so that they may get another file, `moves` those whose rows an update may move
    to another partition; `drops` the objects that it drops, as `object_key` writes them."""

    updates: Mapping[str, str] = field(default_factory=dict)
    retypes: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    rewrites: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()


@dataclass(slots=True)
class ExpectedWrites:
    """Collects them for one file, by the number of the step from 1. `alone`: it is one statement."""

    alone: bool = False
    _updates: dict[int, dict[str, str]] = field(default_factory=dict)
    _retypes: dict[int, set[str]] = field(default_factory=dict)
    _drops: dict[int, set[str]] = field(default_factory=dict)
    _rewrites: dict[int, set[str]] = field(default_factory=dict)
    _moves: dict[int, set[str]] = field(default_factory=dict)

    def record(self, effect: Effect, scope: Scope, step: int) -> None:
        """Records what `effect` does. To be called before it changes the scope."""
        if effect.happens_later:
            return
        for table in _updated_tables(effect):
            hit = touched_tables(scope, table)
            found = self._updates.setdefault(step, {})
            for name in (one for one in hit.all if one not in scope.empty_tables):
                found.setdefault(name, scope.row_estimate(table) if name == hit.table else "")
            if (scope.facts_of(table) or ObjectFacts()).relation_kind == "p":
                self._moves.setdefault(step, set()).update(hit.all)
        in_block = effect.source is None or effect.source.kind not in REWRITING
        if effect.kind in REWRITING and "relation" in effect.node and (in_block or self.alone):
            altered = touched_tables(scope, range_name(effect.node["relation"])).all
            self._rewrites.setdefault(step, set()).update(altered)
        if any(alter_commands(effect, *_CHANGES_VALUES)):
            table = range_name(effect.node["relation"])
            self._retypes.setdefault(step, set()).update(touched_tables(scope, table).all)

    def record_drop(self, text: str, step: int) -> None:
        """Records that the step drops an object: `view public.v`."""
        self._drops.setdefault(step, set()).add(object_key(text))

    def by_step(self) -> dict[int, StepWrites]:
        steps = {*self._updates, *self._retypes, *self._drops, *self._rewrites}
        return {
            step: StepWrites(
                self._updates.get(step, {}),
                frozenset(self._retypes.get(step, ())),
                frozenset(self._drops.get(step, ())),
                frozenset(self._rewrites.get(step, ())),
                frozenset(self._moves.get(step, ())),
            )
            for step in steps
        }


def agreement(writes: StepWrites, hazards: Sequence[Hazard], *, anything: bool) -> Agreement:
    """What a step may do, once its destructive `hazards` are approved. `anything`: so is whatever else it destroys."""
    letters: dict[str, set[str]] = {}
    for table in writes.updates:
        letters.setdefault(table, set()).add(EffectKind.UPDATED)
    for table in writes.rewrites:
        letters.setdefault(table, set()).add(EffectKind.EMPTIED)
    for table in writes.moves:
        letters.setdefault(table, set()).add(EffectKind.DELETED)
    for table in writes.retypes:
        letters.setdefault(table, set()).add(EffectKind.TYPE_CHANGED)
    for hazard in hazards:
        if hazard.severity is HazardSeverity.DESTRUCTIVE:
            for table in (hazard.table, *hazard.cascades_to):
                if table:
                    letters.setdefault(table, set()).update(ANY_EFFECT)
    everything = anything or any(
        one.table == "*" for one in hazards if one.severity is HazardSeverity.DESTRUCTIVE
    )
    tables = {table: "".join(sorted(found)) for table, found in letters.items()}
    return Agreement(tables, tuple(sorted(writes.drops)), everything)


def _updated_tables(effect: Effect) -> Iterator[Name]:
    """The tables of which the effect updates rows."""
    node = effect.node
    if effect.kind == "UpdateStmt":
        yield range_name(node["relation"])
    elif effect.kind == "InsertStmt":
        if node.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE":
            yield range_name(node["relation"])
    elif effect.kind == "MergeStmt":
        clauses = (item["MergeWhenClause"] for item in node.get("mergeWhenClauses", []))
        if any(clause.get("commandType") == "CMD_UPDATE" for clause in clauses):
            yield range_name(node["relation"])
