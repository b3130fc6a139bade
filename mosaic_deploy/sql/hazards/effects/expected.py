"""What the statements of a step are expected to do to live tables and objects, which the guard compares with what they do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.model.effects import EffectKind
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.sql.guard.agreement import ANY_EFFECT, MOVED, Agreement, object_key
from mosaic_deploy.sql.guard.own_code import StepCode
from mosaic_deploy.sql.guard.rewrites import REWRITING
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import written_tables
from mosaic_deploy.sql.hazards.effects.step_code import with_effect, with_plain_insert
from mosaic_deploy.sql.hazards.effects.touched_tables import touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.syntax.names import Name, range_name
from mosaic_deploy.sql.hazards.syntax.trees import (
    FUNCTION_CALL,
    FUNCTION_SETTING,
    WRITE_KINDS,
    Effect,
    alter_commands,
)
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.temporary import is_temporary

_HANDLES_ROWS = WRITE_KINDS | {
    FUNCTION_CALL,
    FUNCTION_SETTING,
    "SelectStmt",
    "CopyStmt",
    "TruncateStmt",
    "DoStmt",
    "CallStmt",
    "LockStmt",
    "VariableSetStmt",
    "VariableShowStmt",
    "TransactionStmt",
    "ConstraintsSetStmt",
    "PrepareStmt",
    "ExecuteStmt",
    "DeallocateStmt",
    "DeclareCursorStmt",
    "FetchStmt",
    "ClosePortalStmt",
    "ExplainStmt",
    "NotifyStmt",
    "DiscardStmt",
    "VacuumStmt",
    "RefreshMatViewStmt",
}
"""Kinds of effects that change no object. What a block or a prepared statement does is an effect of its own."""
_CHANGES_VALUES = ("AT_AlterColumnType", "AT_SetExpression", "AT_AlterColumnGenericOptions")


@dataclass(slots=True)
class StepWrites:
    """What one step is expected to do to live tables, named as in Hazard."""

    updates: dict[str, str] = field(default_factory=dict)
    """Tables whose rows it updates, with ` (table has ≈2 k rows)`: how many of them it updates isn't known before."""
    deletes: dict[str, str] = field(default_factory=dict)
    """Tables of which it deletes rows, itself or by foreign keys, as in `updates`. Each is in a hazard as well."""
    unlinks: dict[str, str] = field(default_factory=dict)
    """Tables whose rows a foreign key updates when it deletes those that they reference, as in `updates`."""
    declared: dict[str, str] = field(default_factory=dict)
    """Tables of which the file says in a comment that it updates rows, as in `updates`: through a trigger, for example."""
    follows: set[str] = field(default_factory=set)
    """Tables whose rows a foreign key updates with a key that it updates."""
    moves: set[str] = field(default_factory=set)
    """Partitioned tables of which it updates a partition key, so that rows may move to another partition below them."""
    partitions: set[str] = field(default_factory=set)
    """Partitioned tables whose rows it updates, with those below and above them, also empty ones."""
    loses: set[str] = field(default_factory=set)
    """Tables of which it deletes rows, as in `deletes`, also empty ones."""
    code: StepCode | None = field(default_factory=StepCode)
    """What its statements name; None if they may run code that no name shows."""
    retypes: set[str] = field(default_factory=set)
    """Tables with a column of another type afterwards."""
    rewrites: set[str] = field(default_factory=set)
    """Tables that get another file in a statement that isn't watched itself: a block, or the only statement."""
    alters: bool = False
    """Whether it may create, change or drop an object, as far as its text says: functions that it calls may do that as well."""
    drops: set[str] = field(default_factory=set)
    """Objects that it drops, as `object_key` writes them."""

    @property
    def agreed_moves(self) -> set[str]:
        """Those of `moves` that need no approval, unless the step runs `code` that its text doesn't show. Deleted rows count as
        moved if as many come back in the table, which other deleted and inserted rows could feign."""
        return set() if self.code is None or self.loses & self.partitions else self.moves


@dataclass(slots=True)
class ExpectedWrites:
    """Collects them for one file, by the number of the step from 1. `alone`: the file is one statement."""

    alone: bool = False
    by_step: dict[int, StepWrites] = field(default_factory=dict)

    def record(self, effect: Effect, scope: Scope, step: int) -> None:
        """Records what `effect` does. To be called before it changes the scope."""
        if not _only_handles_rows(effect):
            self._of(step).alters = True
        self._of(step).code = with_effect(self._of(step).code, effect)
        for table, events in written_tables(effect):
            if "UPDATE" in events:
                self._record_update(table, effect, scope, step)
            if not events.isdisjoint({"DELETE", "TRUNCATE"}):
                self._record_delete(table, scope, step, by_key="DELETE" in events)
        if "relation" not in effect.node or effect.kind not in REWRITING:
            return
        altered = touched_tables(scope, range_name(effect.node["relation"])).all
        if self.alone or effect.source is None or effect.source.kind not in REWRITING:
            self._of(step).rewrites.update(altered)
        if any(alter_commands(effect, *_CHANGES_VALUES)):
            self._of(step).retypes.update(altered)

    def record_insert(self, statement: Statement, step: int) -> None:
        """Records what the statement names if it is an INSERT of a large file, which has no effect."""
        self._of(step).code = with_plain_insert(self._of(step).code, statement)

    def record_drop(self, text: str, step: int) -> None:
        """Records that the step drops an object: `view public.v`."""
        self._of(step).drops.add(object_key(text))

    def record_declared(self, table: Name, scope: Scope, step: int) -> None:
        """Records a table that the file's comment names. One without rows, or that isn't live, needs no comment; for a protected
        one it counts for nothing."""
        hit = touched_tables(scope, table)
        if scope.is_protected(*hit.all):
            return
        for name in (one for one in hit.all if one not in scope.empty_tables):
            rows = scope.row_estimate(table) if name == hit.table else ""
            self._of(step).declared.setdefault(name, rows)

    def _record_update(self, table: Name, effect: Effect, scope: Scope, step: int) -> None:
        hit, found, columns = touched_tables(scope, table), self._of(step), _set_columns(effect)
        facts = scope.facts_of(table) or ObjectFacts()
        for name in (one for one in hit.all if one not in scope.empty_tables):
            known = _table_has(scope.row_estimate(table)) if name == hit.table else ""
            found.updates.setdefault(name, known)
        if hit:
            for name, keys in sorted(facts.key_updates.items()):
                if not keys.isdisjoint(columns):
                    found.follows.add(name)
        if facts.relation_kind != "p":
            return
        found.partitions.update(hit.all)
        # PostgreSQL refuses to move the row of an INSERT … ON CONFLICT.
        if effect.kind != "InsertStmt" and _sets_key(facts, columns - scope.relation(table).added_columns):
            found.moves.update(one for one in hit.all if one not in facts.shares_rows_with)

    def _record_delete(self, table: Name, scope: Scope, step: int, *, by_key: bool) -> None:
        hit, found = touched_tables(scope, table, deletes=by_key), self._of(step)
        found.loses.update(hit.all)
        estimates = {hit.table: scope.row_estimate(table), **hit.deleted, **hit.updated}
        for name in (one for one in hit.all if one not in scope.empty_tables | hit.parents):
            tables = found.unlinks if name in hit.updated else found.deletes
            tables.setdefault(name, _table_has(estimates.get(name, "")))

    def _of(self, step: int) -> StepWrites:
        return self.by_step.setdefault(step, StepWrites())


def _table_has(estimate: str) -> str:
    return estimate.replace(" (", " (table has ", 1)


def _only_handles_rows(effect: Effect) -> bool:
    if effect.kind in _HANDLES_ROWS:
        into = effect.node.get("intoClause", {}).get("rel")
        return into is None or is_temporary(into)
    created = effect.node.get("relation") or effect.node.get("into", {}).get("rel") or {}
    return effect.kind in ("CreateStmt", "CreateTableAsStmt") and is_temporary(created)


def _set_columns(effect: Effect) -> frozenset[str]:
    """The columns to which an UPDATE, MERGE or INSERT … ON CONFLICT gives values in rows that are there."""
    conflict = effect.node.get("onConflictClause")
    nodes = [conflict] if conflict else [effect.node]
    if effect.kind == "MergeStmt":
        clauses = (item["MergeWhenClause"] for item in effect.node.get("mergeWhenClauses", []))
        nodes = [clause for clause in clauses if clause.get("commandType") == "CMD_UPDATE"]
    return frozenset(
        str(item.get("ResTarget", {}).get("name")) for node in nodes for item in node.get("targetList", [])
    )


def _sets_key(facts: ObjectFacts, columns: frozenset[str]) -> bool:
    """Whether an update of these columns may move rows to another partition. A column that isn't live may be a renamed key."""
    keys = facts.partition_keys
    return "" in keys or not keys or not columns.isdisjoint(keys) or not columns <= facts.columns.keys()


def agreement(
    writes: StepWrites, hazards: Sequence[Hazard], *, anything: bool, updates: Collection[str] = ()
) -> Agreement:
    """What a step may do, once its destructive `hazards` are approved. `anything`: so is whatever else it destroys.

    `updates` are further tables of which the plan says that it updates rows.
    """
    letters: dict[str, set[str]] = {}
    for table in (*writes.updates, *updates):
        letters.setdefault(table, set()).add(EffectKind.UPDATED)
    for table in writes.rewrites:
        letters.setdefault(table, set()).add(EffectKind.EMPTIED)
    for table in writes.agreed_moves:
        letters.setdefault(table, set()).add(MOVED)
    for table in writes.retypes:
        letters.setdefault(table, set()).add(EffectKind.TYPE_CHANGED)
    approved = [one for one in hazards if one.severity is HazardSeverity.DESTRUCTIVE]
    everything = anything or any(one.table == "*" for one in approved)
    schemas = tuple(sorted({one.schema for one in approved if one.schema}))
    for hazard in approved:
        named = () if hazard.schema else (hazard.table,)
        for table in (*named, *hazard.cascades_to):
            if table and table != "*":
                letters.setdefault(table, set()).update(ANY_EFFECT)
    tables = {table: "".join(sorted(found)) for table, found in letters.items()}
    code = writes.code if writes.agreed_moves else None
    return Agreement(tables, tuple(sorted(writes.drops)), everything, schemas=schemas, code=code)
