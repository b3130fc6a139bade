"""Which relations a database has, by OID, and how large live objects are. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.names import FIRST_USER_OID, QUALIFIED_RELATION, USER_SCHEMAS
from mosaic_deploy.live.database.touched_objects import HOLDS_NO_ROWS, ROW_ESTIMATE
from mosaic_deploy.model.catalog import LiveSize, SchemaObject
from mosaic_deploy.sql.quote import recordset

_KINDS = {
    "r": "table",
    "p": "table",
    "f": "foreign table",
    "m": "materialized view",
    "v": "view",
    "S": "sequence",
}
_UNEXPECTED = "the SQL endpoint returned the catalog in an unexpected format"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or sequence, or an index or TOAST table `of` another relation (its OID).

    `shown` is the object as the catalog names it; None for indexes and TOAST tables. `columns` are names by number.
    """

    schema: str
    name: str
    shown: SchemaObject | None
    of: str
    file: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relations:
    """By OID. `last_oid` is the largest OID that any of the database's relations has."""

    found: Mapping[str, Relation] = field(default_factory=dict)
    last_oid: int = 0

    def table_of(self, oid: str) -> SchemaObject | None:
        """The relation that users know: of an index or a TOAST table, its table."""
        relation = self.found.get(self.owner_of(oid))
        return relation.shown if relation else None

    def owner_of(self, oid: str) -> str:
        """The OID of the table of an index or a TOAST table; of any other relation its own."""
        while (relation := self.found.get(oid)) and relation.of:
            oid = relation.of
        return oid

    def named(self, name: str, schemas: Collection[str]) -> str | None:
        """The OID of the relation of this name in the first of the schemas that has one."""
        by_schema = {one.schema: oid for oid, one in self.found.items() if one.name == name}
        return next((by_schema[schema] for schema in schemas if schema in by_schema), None)

    def all_named(self, name: str, schema: str | None) -> Iterator[str]:
        """The OIDs of the relations of this name, in the schema or, if that is None, in any."""
        return (oid for oid, one in self.found.items() if one.name == name and schema in (None, one.schema))

    @property
    def names(self) -> Iterator[tuple[str, SchemaObject]]:
        """(identity, object) of relations and their columns; an identity stays when the name changes."""
        for oid, one in self.found.items():
            if one.shown is None:
                continue
            yield oid, one.shown
            for number, column in one.columns.items():
                yield f"{oid}.{number}", SchemaObject("column", column, one.shown.name)


_COLUMNS = (
    "SELECT pg_catalog.json_object_agg(a.attnum, pg_catalog.quote_ident(a.attname)) FROM pg_catalog.pg_attribute a "
    "WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
)
_RELATIONS_QUERY = f"""SELECT pg_catalog.json_build_object(
  'last', (SELECT pg_catalog.max(o.oid::pg_catalog.int8) FROM pg_catalog.pg_class o),
  'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(c.oid::text, n.nspname, c.relname, c.relkind,
    {QUALIFIED_RELATION}, COALESCE(i.indrelid, t.oid)::text, c.relfilenode::text,
    CASE WHEN c.relkind IN ('r', 'p', 'f') THEN ({_COLUMNS}) END))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_catalog.pg_class t ON t.reltoastrelid = c.oid
  WHERE c.oid >= {FIRST_USER_OID} AND c.relkind <> 'c' AND ({USER_SCHEMAS} OR n.nspname = 'pg_toast')))::text AS facts"""


def read_relations(api: Api, project: str) -> Relations:
    """All relations but those of the tracking tables, in one request. Raises ApiError."""
    rows = api.sql(project, _RELATIONS_QUERY)
    try:
        facts: Any = json.loads(rows[0]["facts"])
        return Relations(dict(map(_parse_relation, facts["relations"] or ())), int(facts["last"]))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid(_UNEXPECTED) from None


def _parse_relation(found: Sequence[Any]) -> tuple[str, Relation]:
    oid, schema, name, kind, shown, of, file, columns = found
    item = SchemaObject(_KINDS[kind], shown) if kind in _KINDS else None
    return oid, Relation(schema, name, item, of or "", file, columns or {})


_IS_LOCKED = "EXISTS (SELECT FROM pg_catalog.pg_locks k WHERE k.relation = {}.oid AND k.mode = 'AccessExclusiveLock' AND k.granted)"
"""Asking for the size of such a relation would wait."""
_LEAVES = "pg_catalog.pg_partition_tree(c.oid) l JOIN pg_catalog.pg_class p ON p.oid = l.relid"
_ROWS = (
    f"CASE WHEN c.relkind = 'p' THEN (SELECT sum({ROW_ESTIMATE.format('p')}) FROM {_LEAVES} WHERE l.isleaf) "
    f"WHEN c.relkind IN ('r', 'm') THEN {ROW_ESTIMATE.format('c')} END"
)
_BYTES = (
    f"CASE WHEN c.relkind = 'p' THEN (SELECT sum(CASE WHEN NOT {_IS_LOCKED.format('p')} THEN "
    f"pg_catalog.pg_total_relation_size(p.oid) END) FROM {_LEAVES}) "
    f"WHEN {_IS_LOCKED.format('c')} THEN NULL WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) "
    "WHEN c.relkind IN ('i', 'I') THEN pg_catalog.pg_relation_size(c.oid) END"
)
_EMPTY = (
    f"CASE WHEN c.relkind = 'p' THEN (SELECT pg_catalog.bool_and({HOLDS_NO_ROWS}) FROM pg_catalog.pg_partition_tree(c.oid) l "
    "JOIN pg_catalog.pg_class t ON t.oid = l.relid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace) "
    f"WHEN c.relkind IN ('r', 'm') THEN (SELECT {HOLDS_NO_ROWS} FROM (SELECT c.*) t) ELSE false END"
)
_NULL_SHARE = (
    "(SELECT s.null_frac FROM pg_catalog.pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname "
    "AND pg_catalog.quote_ident(s.attname) = r.column_name AND NOT s.inherited)"
)


def read_sizes(api: Api, project: str, wanted: Sequence[SchemaObject]) -> tuple[LiveSize, ...]:
    """The sizes of tables, materialized views, columns and indexes that exist, in one request. Raises ApiError."""
    asked = [
        {
            "place": number,
            "relation": each.parent if each.kind == "column" else _qualified(each),
            "column_name": each.name if each.kind == "column" else None,
        }
        for number, each in enumerate(wanted)
    ]
    rows = api.sql(
        project,
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(f.place, f.rows, f.bytes, f.empty, f.nulls)), '[]')"
        f"::text AS facts FROM (SELECT r.place, {_ROWS} AS rows, {_BYTES} AS bytes, {_EMPTY} AS empty, "
        f"CASE WHEN r.column_name IS NOT NULL THEN {_NULL_SHARE} END AS nulls "
        f"FROM {recordset(asked, 'place int, relation text, column_name text')} "
        f"JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USER_SCHEMAS}) "
        f"ON {QUALIFIED_RELATION} = r.relation) f",
    )
    try:
        return tuple(_parse_size(wanted, found) for found in json.loads(rows[0]["facts"]))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid(_UNEXPECTED) from None


def _qualified(item: SchemaObject) -> str:
    """An index is in the schema of its table."""
    schema = _schema_prefix(item.parent) if item.kind == "index" else ""
    return f"{schema}{item.name}"


def _schema_prefix(name: str) -> str:
    """`app.` of the SQL name `app.orders`; a schema's name may be quoted and hold a dot."""
    end = name.find('".') + 1 if name.startswith('"') else name.find(".")
    return name[: end + 1] if end > 0 else ""


def _parse_size(wanted: Sequence[SchemaObject], found: Sequence[Any]) -> LiveSize:
    place, rows, size, empty, nulls = found
    item = wanted[int(place)]
    count = 0 if empty else int(rows) if rows else None
    if item.kind == "column":
        known = count is not None and (empty or nulls is not None)
        return LiveSize(item, round((count or 0) * (1 - float(nulls or 0))) if known else None)
    return LiveSize(item, count, None if size is None else int(size), bool(empty))
