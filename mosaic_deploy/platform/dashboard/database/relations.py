"""Reads what a table or view is: its columns, its key, what it can be sorted by, and its foreign keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.connections import Session

KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
"""By PostgreSQL's letter."""
TRACKING_SCHEMA = "mosaic_deploy"
OWN_SCHEMAS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
"""An SQL condition: schema `n` isn't PostgreSQL's own."""
_SORTED_BYTES = 32 * 1024 * 1024
"""A table of up to this size is sorted without an index."""


@dataclass(frozen=True, slots=True)
class Column:
    """`number` stays the same if the column is renamed. `kind` is a word for how values are shown: `json`, `array`, `bytes`,
    `vector`, `text`, `boolean` or `other`. `comparable`: it has an order, and `=`.
    """

    number: int
    name: str
    type: str
    kind: str
    not_null: bool
    default: str
    identity: str
    generated: str
    comment: str
    comparable: bool

    @property
    def is_written(self) -> bool:
        """Whether a statement may give it a value: PostgreSQL fills the others itself."""
        return not self.generated and self.identity != "a"

    @property
    def has_default(self) -> bool:
        return bool(self.default or self.identity)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A constraint from `columns` of one table to `target_columns` of the other one, `schema`.`table`."""

    name: str
    columns: tuple[str, ...]
    schema: str
    table: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view. `key` are columns that identify a row; `key_sorted`: the key's index has its rows in order.

    `single`: all its rows are in one file, so their places in it order them. `indexed` are columns that an index begins
    with. `estimate` is a number of rows;
    None if PostgreSQL has counted none yet.
    """

    oid: int
    schema: str
    name: str
    letter: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    key_sorted: bool
    single: bool
    indexed: frozenset[str]
    size: int
    estimate: int | None
    row_security: bool
    forced_security: bool
    partition_of: tuple[str, str] | None
    comment: str
    foreign_keys: tuple[ForeignKey, ...]
    referenced_by: tuple[ForeignKey, ...]

    @property
    def kind(self) -> str:
        return KINDS[self.letter]

    @property
    def read_only_reason(self) -> str:
        """Why its rows can't be changed here; empty if they can."""
        if self.schema == TRACKING_SCHEMA:
            return "these are the tracking tables of deploys, which only deploys change"
        if self.letter == "v":
            return "this is a view; change the rows of the tables that it reads"
        if self.letter == "m":
            return "this is a materialized view; REFRESH MATERIALIZED VIEW fills it"
        return "this is a foreign table; its rows are in another database" if self.letter == "f" else ""

    def column(self, name: str) -> Column | None:
        return next((one for one in self.columns if one.name == name), None)

    @property
    def sorts_all(self) -> bool:
        """Whether it is so small that its rows can be sorted by any column. True for what can't be sorted at all."""
        return self.letter in ("v", "f") or self.size <= _SORTED_BYTES

    def can_sort(self, name: str) -> bool:
        """Whether PostgreSQL finds the rows in that order without sorting a large table."""
        column = self.column(name)
        if column is None or not column.comparable or self.letter in ("v", "f"):
            return False
        return name in self.indexed or self.sorts_all


_RELATION = f"""
SELECT c.oid::bigint, c.relkind::text AS letter, c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS has_children,
       c.relrowsecurity AS row_security, c.relforcerowsecurity AS forced_security,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       (SELECT ARRAY[pn.nspname::text, p.relname::text] FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid AND c.relispartition) AS partition_of
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind::text = ANY (%(kinds)s) AND {OWN_SCHEMAS}
"""
_STORED = """
WITH RECURSIVE part (oid) AS (
    SELECT %(oid)s::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN part ON part.oid = i.inhparent
)
SELECT coalesce(sum(pg_catalog.pg_relation_size(c.oid)), 0)::bigint AS size,
       sum(GREATEST(NULLIF(c.reltuples, -1), NULLIF(pg_catalog.pg_stat_get_live_tuples(c.oid), 0)))::bigint AS estimate
FROM part JOIN pg_catalog.pg_class c ON c.oid = part.oid WHERE c.relkind IN ('r', 'm')
"""
_COLUMNS = """
SELECT a.attnum::int AS number, a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       CASE WHEN b.typname IN ('json', 'jsonb') THEN 'json' WHEN b.typname = 'bytea' THEN 'bytes'
            WHEN b.typname IN ('vector', 'halfvec', 'sparsevec') THEN 'vector' WHEN b.typname = 'bool' THEN 'boolean'
            WHEN b.typcategory = 'A' THEN 'array' WHEN b.typcategory = 'S' THEN 'text' ELSE 'other' END AS kind,
       a.attnotnull AS not_null, CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS default,
       a.attidentity::text AS identity,
       CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS generated,
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
       b.typcategory = 'A' OR b.typtype IN ('e', 'r', 'm') OR EXISTS (
           SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'
           WHERE o.opcdefault AND (o.opcintype = b.oid OR EXISTS (SELECT FROM pg_catalog.pg_cast k
               WHERE k.castsource = b.oid AND k.casttarget = o.opcintype AND k.castmethod = 'b' AND k.castcontext = 'i'))
       ) AS comparable
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# `sorted`: in the order that ORDER BY asks for. Keys have no NULL, which would be different from itself.
_INDEXES = """
SELECT names.list AS columns, i.indisprimary AS primary,
       i.indisunique AND i.indimmediate AND names.all_not_null AND i.indpred IS NULL AND i.indexprs IS NULL AS identifies,
       i.indpred IS NULL AND names.first_sorted AS first_sorted, names.all_sorted AS sorted
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree',
LATERAL (
    SELECT pg_catalog.array_agg(a.attname::text ORDER BY k) AS list, coalesce(bool_and(a.attnotnull), false) AS all_not_null,
           coalesce(bool_and(o.opcdefault AND i.indcollation[k - 1] = a.attcollation), false) AS all_sorted,
           coalesce(bool_or(k = 1 AND o.opcdefault AND i.indcollation[0] = a.attcollation), false) AS first_sorted
    FROM pg_catalog.generate_series(1, i.indnkeyatts::int) k
    JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k - 1]
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1]
) names
WHERE i.indrelid = %(oid)s::oid AND i.indisvalid
ORDER BY i.indisprimary DESC, names.all_sorted DESC, i.indnkeyatts, c.relname
"""
_FOREIGN_KEYS = """
SELECT c.conname::text AS name, c.conrelid = %(oid)s::oid AS outgoing, c.confrelid = %(oid)s::oid AS incoming,
       f.nspname::text AS from_schema, fc.relname::text AS from_table, t.nspname::text AS to_schema, tc.relname::text AS to_table,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY k (number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY place) AS from_columns,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(c.confkey) WITH ORDINALITY k (number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY place) AS to_columns
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class fc ON fc.oid = c.conrelid JOIN pg_catalog.pg_namespace f ON f.oid = fc.relnamespace
JOIN pg_catalog.pg_class tc ON tc.oid = c.confrelid JOIN pg_catalog.pg_namespace t ON t.oid = tc.relnamespace
WHERE c.contype = 'f' AND (c.conrelid = %(oid)s::oid AND (c.conparentid = 0 OR fc.relispartition AND NOT tc.relispartition)
    OR c.confrelid = %(oid)s::oid AND c.conparentid = 0)
ORDER BY c.conname, c.oid LIMIT 500
"""


async def read_relation(session: Session, schema: str, table: str) -> Relation:
    """The table or view of that name; raises Fault (404) if there is none."""
    found = await fetch_rows(session, _RELATION, schema=schema, table=table, kinds=list(KINDS))
    if not found:
        raise Fault(404, "table_not_found", f"there is no table or view {schema}.{table}")
    row = found[0]
    oid = row["oid"]
    columns = [Column(**{**each, **_texts(each)}) for each in await fetch_rows(session, _COLUMNS, oid=oid)]
    (stored,) = await fetch_rows(session, _STORED, oid=oid)
    indexes = await fetch_rows(session, _INDEXES, oid=oid)
    # Children have rows of their own, which the parent's key doesn't cover.
    keys = [each for each in indexes if each["identifies"]] if not row["has_children"] else []
    outgoing, incoming = await _read_foreign_keys(session, oid)
    return Relation(
        oid=oid,
        schema=schema,
        name=table,
        letter=row["letter"],
        columns=tuple(columns),
        key=tuple(keys[0]["columns"]) if keys else (),
        key_sorted=bool(keys) and keys[0]["sorted"],
        single=row["letter"] in ("r", "m") and not row["has_children"],
        indexed=frozenset(each["columns"][0] for each in indexes if each["first_sorted"]),
        size=stored["size"],
        estimate=stored["estimate"],
        row_security=row["row_security"],
        forced_security=row["forced_security"],
        partition_of=tuple(row["partition_of"]) if row["partition_of"] else None,
        comment=row["comment"] or "",
        foreign_keys=outgoing,
        referenced_by=incoming,
    )


def _texts(row: dict[str, Any]) -> dict[str, str]:
    return {name: row[name] or "" for name in ("default", "identity", "generated", "comment")}


async def _read_foreign_keys(
    session: Session, oid: int
) -> tuple[tuple[ForeignKey, ...], tuple[ForeignKey, ...]]:
    """Those of the table, and those of others that refer to it."""
    outgoing, incoming = [], []
    for row in await fetch_rows(session, _FOREIGN_KEYS, oid=oid):
        own, others = tuple(row["from_columns"]), tuple(row["to_columns"])
        if row["outgoing"]:
            outgoing.append(ForeignKey(row["name"], own, row["to_schema"], row["to_table"], others))
        if row["incoming"]:
            incoming.append(ForeignKey(row["name"], others, row["from_schema"], row["from_table"], own))
    return tuple(outgoing), tuple(incoming)


async def fetch_rows(session: Session, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """All rows, by column name."""
    async with session.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), parameters)
        return await cursor.fetchall()
