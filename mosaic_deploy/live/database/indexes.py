"""Reads and drops indexes that are built outside a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.live.api.client import Api
from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import identifier, index_name, literal


class IndexState(StrEnum):
    VALID = "valid"
    INVALID = "invalid"
    """Left by a failed build: every write updates it, but no query uses it."""
    ABSENT = "absent"
    """It doesn't exist, or only on another table."""
    UNNAMED = "unnamed"
    """PostgreSQL chose the name, so it can't be looked up."""


@dataclass(frozen=True, slots=True)
class Index:
    """`name` is SQL that refers to the index."""

    state: IndexState
    name: str = ""


def read_index(api: Api, project: str, statement: Statement) -> Index:
    """The state of the index that a CREATE INDEX statement creates. Reads only."""
    name = index_name(statement)
    if not name:
        return Index(IndexState.UNNAMED)
    rows = api.sql(
        project,
        "SELECT i.indisvalid AS valid, i.indexrelid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_index i "
        f"WHERE i.indexrelid = pg_catalog.to_regclass({literal(name)}) "
        f"AND i.indrelid = pg_catalog.to_regclass({literal(_table_name(statement.node))})",
    )
    if not rows:
        return Index(IndexState.ABSENT, name)
    valid = rows[0].get("valid") in (True, "t", "true")
    return Index(IndexState.VALID if valid else IndexState.INVALID, str(rows[0]["name"]))


def drop_index(api: Api, project: str, index: Index) -> None:
    api.sql(project, f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")


def locked_relations_query(statement: Statement) -> str:
    """SQL for the OIDs of the relations that CREATE or DROP INDEX CONCURRENTLY locks; "" for other statements."""
    if statement.kind == "IndexStmt":
        return f"SELECT pg_catalog.to_regclass({literal(_table_name(statement.node))})::pg_catalog.oid"
    if statement.kind != "DropStmt":
        return ""
    return (
        "SELECT u.oid FROM pg_catalog.pg_index i, LATERAL (VALUES (i.indexrelid), (i.indrelid)) u(oid) "
        f"WHERE i.indexrelid IN (SELECT pg_catalog.to_regclass(n) FROM pg_catalog.unnest({_dropped_names(statement)}) n)"
    )


def read_indexes_dropped(api: Api, project: str, statement: Statement) -> bool:
    """Whether all indexes of a DROP INDEX statement are gone. Reads only."""
    found = api.sql(
        project,
        f"SELECT n AS found FROM pg_catalog.unnest({_dropped_names(statement)}) n "
        "WHERE pg_catalog.to_regclass(n) IS NOT NULL",
    )
    return not found


def _dropped_names(statement: Statement) -> str:
    """The indexes that DROP INDEX names, as an SQL array."""
    names = [[part["String"]["sval"] for part in item["List"]["items"]] for item in statement.node["objects"]]
    return f"ARRAY[{', '.join(literal('.'.join(identifier(part) for part in name)) for name in names)}]"


def _table_name(node: Tree) -> str:
    relation = node["relation"]
    parts = [str(relation[part]) for part in ("schemaname", "relname") if part in relation]
    return ".".join(identifier(part) for part in parts)
