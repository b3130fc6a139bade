"""What SQL did to the rows and objects that were there before, measured by PostgreSQL within its transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mosaic_deploy.platform.dashboard.queries.results import ResultSet
from mosaic_deploy.platform.postgres.connections import Session

# Parts of a table are listed only if their table is still there, and names always with their kind.
_OBJECTS = """
WITH relation AS (
    SELECT c.oid, c.relkind, c.oid::pg_catalog.regclass::text AS name, pg_catalog.pg_relation_filenode(c.oid) AS file,
           CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) END AS bytes,
           coalesce(i.indrelid, d.refobjid)::bigint AS owner,
           CASE WHEN c.relkind IN ('r', 'p') THEN n.nspname || '.' || c.relname ELSE '' END AS full_name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    -- A sequence of a column.
    LEFT JOIN pg_catalog.pg_depend d ON c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.objid = c.oid AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), member AS (
    -- Of an extension, which is listed itself.
    SELECT objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
)
SELECT 'pg_namespace', oid::bigint, 0, NULL::bigint, 'schema', pg_catalog.quote_ident(nspname), NULL::bigint, NULL::bigint, ''
FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'
UNION ALL
SELECT 'pg_extension', oid::bigint, 0, NULL, 'extension', pg_catalog.quote_ident(extname), NULL, NULL, '' FROM pg_catalog.pg_extension
UNION ALL
SELECT 'pg_class', oid::bigint, 0, owner, CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
       WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type'
       ELSE 'index' END, name, file::bigint, bytes, full_name
FROM relation
UNION ALL
SELECT 'pg_attribute', attrelid::bigint, attnum, attrelid::bigint, 'column',
       relation.name || '.' || pg_catalog.quote_ident(attname), NULL, NULL, full_name
FROM pg_catalog.pg_attribute JOIN relation ON relation.oid = attrelid
WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'pg_constraint', c.oid::bigint, 0, conrelid::bigint, 'constraint', pg_catalog.quote_ident(conname), NULL, NULL, ''
FROM pg_catalog.pg_constraint c JOIN relation ON relation.oid = conrelid
UNION ALL
SELECT 'pg_trigger', t.oid::bigint, 0, tgrelid::bigint, 'trigger', pg_catalog.quote_ident(tgname), NULL, NULL, ''
FROM pg_catalog.pg_trigger t JOIN relation ON relation.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT 'pg_policy', p.oid::bigint, 0, polrelid::bigint, 'policy', pg_catalog.quote_ident(polname), NULL, NULL, ''
FROM pg_catalog.pg_policy p JOIN relation ON relation.oid = polrelid
UNION ALL
SELECT 'pg_proc', p.oid::bigint, 0, NULL, 'function', p.oid::pg_catalog.regprocedure::text, NULL, NULL, ''
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND p.oid NOT IN (SELECT objid FROM member)
UNION ALL
SELECT 'pg_type', t.oid::bigint, 0, NULL, 'type', t.oid::pg_catalog.regtype::text, NULL, NULL, ''
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace
WHERE typtype IN ('e', 'd', 'r') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND t.oid NOT IN (SELECT objid FROM member)
"""
# By full name: a table that inherits, or a partition, and one that it belongs to.
_PARENTS = """
WITH RECURSIVE above (child, parent) AS (
    SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits
    UNION SELECT above.child, i.inhparent FROM above JOIN pg_catalog.pg_inherits i ON i.inhrelid = above.parent
)
SELECT cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname
FROM above JOIN pg_catalog.pg_class c ON c.oid = child JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = parent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p')
"""
# Also of the session's earlier transactions, as long as PostgreSQL hasn't added these to the totals of all.
_ROWS = """
SELECT relid::bigint, schemaname || '.' || relname, relid::pg_catalog.regclass::text, n_tup_ins, n_tup_upd, n_tup_del
FROM pg_catalog.pg_stat_xact_all_tables
WHERE (schemaname !~ '^pg_' AND schemaname <> 'information_schema' OR relname IN ('pg_largeobject', 'pg_largeobject_metadata'))
    AND n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 3
"""
_NOTHING = (0, 0, 0)
_TRACKING = "mosaic_deploy."
_UPDATE_TAG = re.compile(r"UPDATE (\d+)")
_Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Object:
    """A database object. `table` is its table's OID, if it is a part of one; `bytes` is None unless it has rows.

    `full` is the table that loses something if this goes, as `public.todos`: itself, or a column's; else empty.
    """

    kind: str
    name: str
    table: int | None
    file: int | None
    bytes: int | None
    full: str


@dataclass(frozen=True, slots=True)
class Effects:
    """`updated` and `deleted` are rows by table; `dropped`, `emptied` and `rewritten` like `table todos`.

    `tracking` are tracking tables that it wrote to. `destroyed` has the tables that lost rows or values, as `public.todos`.
    """

    updated: tuple[tuple[str, int], ...] = ()
    deleted: tuple[tuple[str, int], ...] = ()
    dropped: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    tracking: tuple[str, ...] = ()
    destroyed: frozenset[str] = frozenset()

    def lines(self) -> list[str]:
        """Each effect in words: `deletes 3 rows of todos`."""
        return [
            *(f"writes to {name}, on which all later deploys rely" for name in self.tracking),
            *(f"drops {name}" for name in self.dropped),
            *(f"removes all rows of {name}" for name in self.emptied),
            *(f"rewrites all values of {name}" for name in self.rewritten),
            *(f"deletes {_rows_text(count)} of {name}" for name, count in self.deleted),
            *(f"updates {_rows_text(count)} of {name}" for name, count in self.updated),
        ]

    def to_confirm(self, results: Sequence[ResultSet]) -> bool:
        """Whether it did more than insert, and update what the results of its own statements say."""
        if self.deleted or self.dropped or self.emptied or self.rewritten or self.tracking:
            return True
        stated = sum(int(found[1]) for one in results if (found := _UPDATE_TAG.fullmatch(one.tag)))
        return sum(count for _, count in self.updated) > stated


@dataclass(frozen=True, slots=True)
class Before:
    """The state that `measure` compares with: all objects that aren't PostgreSQL's own, and counts of rows by table."""

    objects: Mapping[_Key, Object]
    counts: Mapping[int, Sequence[int]]
    parents: Sequence[tuple[str, str]]


async def read_before(session: Session) -> Before:
    """In the transaction that is to be measured, at its start."""
    rows = await (await session.execute(_ROWS)).fetchall()
    parents = await (await session.execute(_PARENTS)).fetchall()
    objects = await _read_objects(session)
    return Before(objects, {table: counts for table, _, _, *counts in rows}, parents)


async def measure(session: Session, before: Before) -> Effects:
    """What this transaction did since `before`."""
    after = await _read_objects(session)
    rows = await (await session.execute(_ROWS)).fetchall()
    gone = {key: one for key, one in before.objects.items() if key not in after}
    gone_tables = {oid for (catalog, oid, _) in gone if catalog == "pg_class"}
    changed = [
        (one, after[key])
        for key, one in before.objects.items()
        if key in after and one.bytes and after[key].file != one.file
    ]
    done = [
        (
            full,
            name,
            [now - then for now, then in zip(counts, before.counts.get(table, _NOTHING), strict=True)],
        )
        for table, full, name, *counts in rows
    ]
    lost = [one for one in gone.values() if one.table not in gone_tables]
    own_lost = [one for one in [*gone.values(), *(old for old, _ in changed)] if one.full]
    return Effects(
        updated=tuple((name, counts[1]) for _, name, counts in done if counts[1]),
        deleted=tuple((name, counts[2]) for _, name, counts in done if counts[2]),
        dropped=tuple(f"{one.kind} {one.name}" for one in lost),
        emptied=tuple(f"{old.kind} {old.name}" for old, new in changed if not new.bytes),
        rewritten=tuple(f"{old.kind} {old.name}" for old, new in changed if new.bytes),
        tracking=tuple(name for full, name, counts in done if any(counts) and full.startswith(_TRACKING)),
        destroyed=_with_parents(
            {full for full, _, counts in done if counts[1] or counts[2]} | {one.full for one in own_lost},
            before.parents,
        ),
    )


def _with_parents(names: set[str], parents: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Rows of a partition are rows of its table."""
    return frozenset(names | {parent for child, parent in parents if child in names})


async def _read_objects(session: Session) -> dict[_Key, Object]:
    cursor = await session.execute(_OBJECTS)
    return {
        (catalog, oid, part): Object(kind, name, table, file, size, full)
        for catalog, oid, part, table, kind, name, file, size, full in await cursor.fetchall()
    }


def _rows_text(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
