"""The name of the index that a statement makes."""

from __future__ import annotations

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import identifier


def index_name(statement: Statement) -> str:
    """The name that a CREATE INDEX gives, with its table's schema; empty where PostgreSQL chooses it,
    and for any other statement."""
    name = statement.node.get("idxname") if statement.kind == "IndexStmt" else None
    if not name:
        return ""
    schema = statement.node.get("relation", {}).get("schemaname")
    return f"{identifier(schema)}.{identifier(name)}" if schema else identifier(name)
