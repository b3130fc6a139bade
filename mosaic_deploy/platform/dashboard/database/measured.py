"""What a change of one row did besides: to other rows, by triggers, rules and foreign keys; measured in its transaction.

The command `sql` measures the same. Here the statement is known, so it is enough to count rows and to look at locks: to
drop, alter or truncate a table, PostgreSQL needs an exclusive lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mosaic_deploy.platform.dashboard.database.relations import TRACKING_SCHEMA, Relation, fetch_rows
from mosaic_deploy.platform.dashboard.queries.effects import Effects
from mosaic_deploy.platform.dashboard.queries.policy import Policy
from mosaic_deploy.platform.postgres.connections import Session

# Of earlier transactions too, as long as PostgreSQL hasn't added them to the totals of all sessions.
_COUNTS = """
SELECT c.oid::bigint, pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
       pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) AS updated,
       pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' OR c.relname IN ('pg_largeobject', 'pg_largeobject_metadata'))
"""
_NAMES = """
WITH RECURSIVE up (oid, relid, place) AS (
    SELECT oid, oid, 0 FROM pg_catalog.pg_class WHERE oid = ANY (%(oids)s::oid[])
    UNION SELECT up.oid, i.inhparent, place + 1 FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.relid
)
SELECT up.oid::bigint, pg_catalog.array_agg(up.relid::bigint ORDER BY place) AS family,
       pg_catalog.array_agg(n.nspname || '.' || c.relname ORDER BY place) AS names,
       (pg_catalog.array_agg(n.nspname::text ORDER BY place))[1] AS schema
FROM up JOIN pg_catalog.pg_class c ON c.oid = up.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace GROUP BY up.oid
"""
_CONDITIONS = """
SELECT pg_catalog.current_setting('track_counts') = 'on' AS counts, EXISTS (
    SELECT FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND l.granted
      AND l.locktype IN ('relation', 'object') AND c.relpersistence IS DISTINCT FROM 't') AS alters
"""
_Counts = Mapping[int, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Besides:
    """What else happened: to rows that were there, as a question; or why it isn't possible at all (`refused`)."""

    effects: Effects = field(default_factory=Effects)
    refused: str = ""

    @property
    def any(self) -> bool:
        return bool(self.effects.lines())


async def read_counts(session: Session) -> _Counts:
    """By OID of tables: rows inserted, updated, deleted in this session lately."""
    rows = await fetch_rows(session, _COUNTS)
    return {row["oid"]: (row["inserted"], row["updated"], row["deleted"]) for row in rows}


async def measure(
    session: Session, relation: Relation, before: _Counts, policy: Policy, *, action: str
) -> Besides:
    """What the transaction did since `before`, except that a statement did `action` (`insert`, `update` or `delete`) to one
    row of the table."""
    # Deferred triggers and constraints belong to it.
    await session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    (conditions,) = await fetch_rows(session, _CONDITIONS)
    if conditions["alters"]:
        return Besides(refused="code that it runs, such as a trigger, drops, alters or truncates a table")
    if not conditions["counts"]:
        return Besides(
            refused="PostgreSQL doesn't count rows here (track_counts is off), so its effects can't be measured"
        )
    changed = {
        oid: (counts[0] - old[0], counts[1] - old[1], counts[2] - old[2])
        for oid, counts in (await read_counts(session)).items()
        if counts != (old := before.get(oid, (0, 0, 0)))
    }
    named = {row["oid"]: row for row in await fetch_rows(session, _NAMES, oids=list(changed))}
    if any(row["schema"] == TRACKING_SCHEMA for row in named.values()):
        return Besides(refused="code that it runs, such as a trigger, changes the tracking tables of deploys")
    own = {oid for oid, row in named.items() if relation.oid in row["family"]}
    updated, deleted = _beyond(changed, own, action)
    denied = {policy.denial(named[oid]["names"]) for oid in (*updated, *deleted)} - {""}
    if denied:
        return Besides(refused=f"it also changes other rows, by a trigger or foreign key; {min(denied)}")
    if policy.destructive == "allow":
        return Besides()
    return Besides(Effects(_by_name(updated, named), _by_name(deleted, named)))


def _beyond(changed: _Counts, own: set[int], action: str) -> tuple[dict[int, int], dict[int, int]]:
    """Rows updated and deleted, by table, without the statement's own row. It may have moved to another partition."""
    updated = {oid: counts[1] for oid, counts in changed.items() if counts[1]}
    deleted = {oid: counts[2] for oid, counts in changed.items() if counts[2]}
    moved = action == "update" and not _take_one(updated, own) and any(changed[oid][0] > 0 for oid in own)
    if action == "delete" or moved:
        _take_one(deleted, own)
    return updated, deleted


def _take_one(counts: dict[int, int], tables: set[int]) -> bool:
    """Takes one row of the first of these tables. Whether there was one."""
    table = next((oid for oid in counts if oid in tables), None)
    if table is None:
        return False
    counts[table] -= 1
    if not counts[table]:
        del counts[table]
    return True


def _by_name(
    counts: Mapping[int, int], named: Mapping[int, dict[str, object]]
) -> tuple[tuple[str, int], ...]:
    names = {oid: row["names"] for oid, row in named.items()}
    return tuple(
        sorted((names[oid][0].removeprefix("public."), count) for oid, count in counts.items())  # type: ignore[index]
    )


async def table_names(session: Session, relation: Relation) -> list[str]:
    """The table's name and those of its parents, as `schema.table`."""
    (row,) = await fetch_rows(session, _NAMES, oids=[relation.oid])
    return list(row["names"])
