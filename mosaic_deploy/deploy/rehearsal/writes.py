"""Which live tables' rows the steps of a rehearsal write that no statement of their files names: by triggers, views, rules, functions.

PostgreSQL locks a table for writing (ROW EXCLUSIVE) also if there is no row to write, and counts the rows if there are any. A lock
doesn't say whether rows are updated or deleted. A trigger that fires for each row doesn't fire without rows; the catalog says
that it is there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.errors import Location, ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.relations import Relation, Relations
from mosaic_deploy.model.catalog import Rehearsal, SchemaObject
from mosaic_deploy.model.change import RunSeed
from mosaic_deploy.model.effects import TableWrite
from mosaic_deploy.model.hazard import Hazard, HazardSeverity, table_is_affected
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.source.migrations.files import ParsedFile, statement_location
from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.guard.locks import LOCK_MODES, LocksHeld
from mosaic_deploy.sql.hazards import RULES, UNREPORTED_ROWS, StepWrites, written_names
from mosaic_deploy.sql.quote import recordset

_WRITING = LOCK_MODES.index("ROW EXCLUSIVE") + 1
_INSTEAD = next(rule.instead for rule in RULES if rule.code == UNREPORTED_ROWS)
_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}
"""Bits of `pg_trigger.tgtype`."""
_MAY_WRITE = "(l.lanname NOT IN ('plpgsql', 'sql') OR f.prosrc ~* '\\m(insert|update|delete|merge|truncate|execute|perform|call|select)\\M')"
"""Whether the text of function `f` looks as if it might write to a table."""


class UnfiredEvents(NamedTuple):
    """A table (its OID) that a step writes to, without any row there; `events` are bits as in `_EVENTS`."""

    oid: str
    events: int


@dataclass(frozen=True, slots=True)
class SeenStep:
    """A committed step of a rehearsal with its reports."""

    address: str
    parsed: ParsedFile
    step: Step
    seen: Sequence[LocksHeld]


def table_writes(
    each: SeenStep, names: Sequence[Relations], stated: Collection[str]
) -> tuple[list[TableWrite], list[UnfiredEvents]]:
    """What the step writes that its file doesn't say, and what it writes to without having a row.

    `names` are the relations from before the rehearsal, then those by now. `stated` are the live tables whose rows the plan already
    says that the step updates or deletes.
    """
    if not each.seen or not each.seen[-1].last:
        return [], []
    writes: list[TableWrite] = []
    unfired: list[UnfiredEvents] = []
    targets: Mapping[str, frozenset[str]] | None = None
    for oid, relation, rows, is_new in _written(each.seen, names[0]):
        targets = _targets(each.step, names) if targets is None else targets
        events = targets.get(oid)
        if not any(rows):
            bits = sum(_EVENTS[one] for one in _EVENTS if events is None or one in events)
            unfired.append(UnfiredEvents(oid, bits))
        table = f"{relation.schema}.{relation.name}"
        if table not in stated and (write := _write(each, oid, table, rows, events, names[0], is_new=is_new)):
            writes.append(write)
    return writes, unfired


def _written(
    seen: Sequence[LocksHeld], relations: Relations
) -> Iterator[tuple[str, Relation, tuple[int, int, int], bool]]:
    """The live tables that the step has locked for writing: OID, table, the rows that it inserted, updated and deleted, and whether
    the lock is new. In one transaction for all migrations it may be an earlier step's."""
    first, last = seen[0], seen[-1]
    for oid in sorted(last.writing, key=int):
        relation = relations.found.get(oid)
        if relation is None or relation.shown is None or relation.shown.kind != "table":
            continue
        before = first.rows.get(oid, (0, 0, 0))
        inserted, updated, deleted = (
            max(0, now - then) for now, then in zip(last.rows.get(oid, (0, 0, 0)), before, strict=True)
        )
        yield oid, relation, (inserted, updated, deleted), oid not in first.writing


def _write(
    each: SeenStep,
    oid: str,
    table: str,
    rows: tuple[int, int, int],
    events: frozenset[str] | None,
    relations: Relations,
    *,
    is_new: bool,
) -> TableWrite | None:
    """None if the step only inserts, as far as this shows, or its statements say what it does."""
    inserted, updated, deleted = rows
    scanned = _is_scanned(each.seen, oid, relations)
    updates = updated > 0 and "UPDATE" not in (events or ())
    deletes = deleted > 0 and not {"DELETE", "TRUNCATE"} & (events or frozenset())
    only_locked = events is None and not (updated or deleted) and (scanned or (is_new and not inserted))
    if not (updates or deletes or only_locked):
        return None
    relation = relations.found[oid]
    shown = relation.shown.name if relation.shown else table
    return TableWrite(table, shown, each.address, each.step.number, _line(each, oid), updates, deletes)


def _is_scanned(seen: Sequence[LocksHeld], oid: str, relations: Relations) -> bool:
    """Whether the step has read the table or an index of it, as an UPDATE or DELETE does and an INSERT doesn't."""
    table = relations.table_of(oid)
    before = seen[0].locks
    return any(
        relations.table_of(one) == table and lock.scans > (before[one].scans if one in before else 0)
        for one, lock in seen[-1].locks.items()
    )


def _line(each: SeenStep, oid: str) -> int | None:
    """The line of the first statement after which the table was locked for writing."""
    for report in each.seen:
        lock = report.locks.get(oid)
        if lock and lock.rank >= _WRITING and 0 < report.statement <= len(each.step.sql.statements):
            return statement_location(each.parsed.file, each.step.sql.statements[report.statement - 1]).line
    return None


def _targets(step: Step, names: Sequence[Relations]) -> dict[str, frozenset[str]]:
    """By OID, the relations that the step's statements name as what they write to, and what they do (`INSERT`, `UPDATE`, …).

    A name without a schema may be any relation of that name, before the rehearsal and now.
    """
    found: dict[str, frozenset[str]] = {}
    for name, events in written_names(step.sql.statements).items():
        for relations in names:
            for oid in relations.all_named(name.name, name.schema):
                found[oid] = found.get(oid, frozenset()) | events
    return found


def stated_tables(planned: PreparedPlan, path: str, step: int) -> frozenset[str]:
    """The live tables (`public.orders`) whose rows the plan says that the file's step updates or deletes."""
    writes = planned.writes.get(path, {}).get(step, StepWrites())
    hazards = [
        one
        for one in planned.plan.hazards
        if one.step == step
        and one.location.file == path
        and (one.severity is HazardSeverity.DESTRUCTIVE or one.empty_tables)
    ]
    deleted = (table for one in hazards for table in (one.table, *one.cascades_to))
    return frozenset((*writes.updates, *writes.declared, *writes.follows, *writes.partitions, *deleted))


def row_hazards(planned: PreparedPlan, rehearsal: Rehearsal) -> Iterator[Hazard]:
    """What the rehearsal saw and a person must approve: that rows are deleted, or rows of a protected table updated."""
    policy = planned.desired.manifest.policy or PolicySpec()
    files = {
        **{f"migration:{each.file.migration.file}": each.file.relative_path for each in planned.parsed},
        **{each.address: each.path for each in planned.plan.changes if isinstance(each, RunSeed)},
    }
    for write in rehearsal.writes:
        is_protected = any(table_is_affected(write.table, name) for name in policy.protected_tables)
        verbs = [
            *(["deletes"] if write.deletes else []),
            *(["updates"] if write.updates and is_protected else []),
        ]
        size = rehearsal.size_of(SchemaObject("table", write.shown))
        rows = f" ({size.text})" if size and size.text else ""
        if verbs:
            message = f"{' and '.join(verbs)} rows of {write.shown}{rows}, as seen in the rehearsal"
            location = Location(files[write.address], write.line)
            yield Hazard(
                UNREPORTED_ROWS,
                HazardSeverity.DESTRUCTIVE,
                message,
                write.shown,
                location,
                write.table,
                _INSTEAD,
                step=write.step,
            )


def unfired_triggers(api: Api, project: str, tables: Sequence[UnfiredEvents]) -> tuple[str, ...]:
    """`orders (count_orders, log_orders)`: row triggers that may write to other tables, of the tables and of those to which a foreign
    key passes their deletes on. Raises ApiError."""
    if not tables:
        return ()
    asked = [{"oid": one.oid, "events": one.events} for one in tables]
    rows = api.sql(
        project,
        "WITH RECURSIVE w(oid, event) AS ("
        f"SELECT r.oid, e.event FROM {recordset(asked, 'oid oid, events int')} "
        f"JOIN (VALUES {', '.join(f'({bit})' for bit in _EVENTS.values())}) e(event) ON r.events & e.event <> 0 "
        f"UNION SELECT k.conrelid, CASE k.confdeltype WHEN 'c' THEN {_EVENTS['DELETE']} ELSE {_EVENTS['UPDATE']} END "
        f"FROM w JOIN pg_catalog.pg_constraint k ON k.confrelid = w.oid AND w.event = {_EVENTS['DELETE']} "
        "WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')) "
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(u.shown, u.names) ORDER BY u.shown), '[]')::text AS found "
        "FROM (SELECT CASE n.nspname WHEN 'public' THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END "
        "|| pg_catalog.quote_ident(c.relname) AS shown, "
        "pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(t.tgname), ', ' ORDER BY pg_catalog.quote_ident(t.tgname)) AS names "
        "FROM w JOIN pg_catalog.pg_trigger t ON t.tgrelid = w.oid JOIN pg_catalog.pg_class c ON c.oid = w.oid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid JOIN pg_catalog.pg_language l ON l.oid = f.prolang "
        "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 1 = 1 AND t.tgtype & w.event <> 0 "
        f"AND {_MAY_WRITE} GROUP BY 1) u",
    )
    try:
        return tuple(f"{shown} ({names})" for shown, names in json.loads(rows[0]["found"]))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the embedded platform returned triggers in an unexpected format") from None
