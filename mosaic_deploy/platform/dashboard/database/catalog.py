"""Reads which tables and views a database has, and what belongs to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mosaic_deploy.platform.dashboard.database.relations import (
    KINDS,
    OWN_SCHEMAS,
    TRACKING_SCHEMA,
    Relation,
    fetch_rows,
)
from mosaic_deploy.platform.postgres.connections import Session

LISTED = 200
"""At most this many tables, or partitions, on a page."""


@dataclass(frozen=True, slots=True)
class ListedTable:
    """`estimate` is a number of rows; None for views, and if PostgreSQL has counted none yet."""

    schema: str
    name: str
    kind: str
    estimate: int | None
    partitions: int
    is_partition: bool
    row_security: bool
    comment: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A constraint, index, policy or trigger, in PostgreSQL's words. `note` is what is unusual about it."""

    name: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What belongs to a table. `partitions` are (schema, name, bounds), at most LISTED."""

    constraints: tuple[Definition, ...]
    indexes: tuple[Definition, ...]
    policies: tuple[Definition, ...]
    triggers: tuple[Definition, ...]
    partitions: tuple[tuple[str, str, str], ...]
    more_partitions: bool
    view: str


# Nothing here waits for a lock, as asking for a size does: a migration that runs may hold many.
_TABLES = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS letter, c.relispartition AS is_partition,
       c.relrowsecurity AS row_security, pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       parts.number AS partitions,
       CASE c.relkind WHEN 'p' THEN parts.rows ELSE GREATEST(NULLIF(c.reltuples, -1), NULLIF(pg_catalog.pg_stat_get_live_tuples(c.oid), 0)) END::bigint
         AS estimate
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, LATERAL (
    WITH RECURSIVE part (oid) AS (
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid AND c.relkind = 'p'
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN part ON part.oid = i.inhparent
    )
    SELECT count(*) AS number, sum(GREATEST(NULLIF(p.reltuples, -1), NULLIF(pg_catalog.pg_stat_get_live_tuples(p.oid), 0))) AS rows
    FROM part JOIN pg_catalog.pg_class p ON p.oid = part.oid WHERE p.relkind <> 'p'
) parts
WHERE c.relkind::text = ANY (%(kinds)s) AND c.relpersistence <> 't' AND {OWN_SCHEMAS}
  AND CASE %(search)s WHEN '' THEN NOT c.relispartition
      ELSE pg_catalog.strpos(pg_catalog.lower(n.nspname || '.' || c.relname), pg_catalog.lower(%(search)s)) > 0 END
ORDER BY n.nspname = '{TRACKING_SCHEMA}', n.nspname <> 'public', n.nspname, c.relname
LIMIT {LISTED + 1} OFFSET %(offset)s
"""
_CONSTRAINTS = """
SELECT conname::text AS name, pg_catalog.pg_get_constraintdef(oid) AS text,
       CASE WHEN NOT convalidated THEN 'not validated' WHEN condeferrable THEN 'deferrable' ELSE '' END AS note
FROM pg_catalog.pg_constraint WHERE conrelid = %(oid)s::oid AND contype IN ('p', 'u', 'f', 'c', 'x')
ORDER BY contype <> 'p', contype, conname
"""
_INDEXES = """
SELECT c.relname::text AS name, pg_catalog.pg_get_indexdef(c.oid) AS text,
       CASE WHEN NOT i.indisvalid THEN 'invalid: its build failed or is running' ELSE '' END AS note
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %(oid)s::oid
ORDER BY NOT i.indisprimary, c.relname
"""
_POLICIES = """
SELECT p.polname::text AS name,
       pg_catalog.concat_ws(' ', 'FOR', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
           WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           'TO ' || pg_catalog.array_to_string(ARRAY(SELECT CASE r.oid WHEN 0 THEN 'public' ELSE pg_catalog.quote_ident(a.rolname) END
               FROM pg_catalog.unnest(p.polroles) r (oid) LEFT JOIN pg_catalog.pg_roles a ON a.oid = r.oid), ', '),
           'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
           'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')') AS text,
       CASE WHEN p.polpermissive THEN '' ELSE 'restrictive' END AS note
FROM pg_catalog.pg_policy p WHERE p.polrelid = %(oid)s::oid ORDER BY p.polname
"""
_TRIGGERS = """
SELECT t.tgname::text AS name, pg_catalog.pg_get_triggerdef(t.oid) AS text,
       CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE '' END AS note
FROM pg_catalog.pg_trigger t WHERE t.tgrelid = %(oid)s::oid AND NOT t.tgisinternal ORDER BY t.tgname
"""
_PARTITIONS = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name, coalesce(pg_catalog.pg_get_expr(c.relpartbound, c.oid), '') AS bounds
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE i.inhparent = %(oid)s::oid
ORDER BY n.nspname, c.relname LIMIT {LISTED + 1}
"""


async def list_tables(session: Session, search: str, offset: int) -> tuple[list[ListedTable], bool]:
    """Tables and views, those of `public` first, and whether there are more. With `search` also partitions."""
    rows = await fetch_rows(session, _TABLES, search=search, offset=offset, kinds=list(KINDS))
    return [_listed(row) for row in rows[:LISTED]], len(rows) > LISTED


def _listed(row: dict[str, Any]) -> ListedTable:
    return ListedTable(
        row["schema"],
        row["name"],
        "partition" if row["is_partition"] and row["letter"] == "r" else KINDS[row["letter"]],
        None if row["letter"] in ("v", "f") else row["estimate"],
        row["partitions"],
        row["is_partition"],
        row["row_security"],
        row["comment"] or "",
    )


async def read_parts(session: Session, relation: Relation) -> Parts:
    partitions = await fetch_rows(session, _PARTITIONS, oid=relation.oid)
    view = ""
    if relation.letter in ("v", "m"):
        query = "SELECT pg_catalog.pg_get_viewdef(%(oid)s::oid, true) AS text"
        (row,) = await fetch_rows(session, query, oid=relation.oid)
        view = row["text"] or ""
    return Parts(
        await _definitions(session, _CONSTRAINTS, relation),
        await _definitions(session, _INDEXES, relation),
        await _definitions(session, _POLICIES, relation),
        await _definitions(session, _TRIGGERS, relation),
        tuple((row["schema"], row["name"], row["bounds"]) for row in partitions[:LISTED]),
        len(partitions) > LISTED,
        view,
    )


async def _definitions(session: Session, query: str, relation: Relation) -> tuple[Definition, ...]:
    return tuple(Definition(**row) for row in await fetch_rows(session, query, oid=relation.oid))
