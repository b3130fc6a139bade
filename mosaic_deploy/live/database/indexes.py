"""Indexes built outside a transaction: whether one is there, and whether it can be used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.live.api.client import Api
from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import identifier, index_name, literal


class IndexState(StrEnum):
    VALID = "valid"
    INVALID = "invalid"
    """What a failed build leaves: it costs every write, and no query uses it."""
    ABSENT = "absent"
    """Not there, or of that name on another table."""
    UNNAMED = "unnamed"
    """PostgreSQL chose the name, so it can't be looked for."""


@dataclass(frozen=True, slots=True)
class Index:
    """`name` is written as SQL that finds it."""

    state: IndexState
    name: str = ""


def read_index(api: Api, project: str, statement: Statement) -> Index:
    """How the index stands that a CREATE INDEX makes. Writes nothing."""
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


def read_indexes_dropped(api: Api, project: str, statement: Statement) -> bool:
    """Whether all indexes that a DROP INDEX names are gone. Writes nothing."""
    names = [[part["String"]["sval"] for part in item["List"]["items"]] for item in statement.node["objects"]]
    listed = ", ".join(literal(".".join(identifier(part) for part in name)) for name in names)
    found = api.sql(
        project,
        f"SELECT n AS found FROM pg_catalog.unnest(ARRAY[{listed}]) n WHERE pg_catalog.to_regclass(n) IS NOT NULL",
    )
    return not found


def _table_name(node: Tree) -> str:
    relation = node["relation"]
    parts = [str(relation[part]) for part in ("schemaname", "relname") if part in relation]
    return ".".join(identifier(part) for part in parts)
