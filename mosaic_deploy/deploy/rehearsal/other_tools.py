"""The history tables of other migration tools, which no recorded file makes: a rehearsal's database gets them from the live schema.

After a baseline or an import they are still there, and a migration may drop them.
"""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import Catalog, SchemaChange, SchemaObject
from mosaic_deploy.model.migration_history import HISTORY_TABLES

_OWNED_BY, _OWNER, _UNIQUE = " OWNED BY ", " OWNER ", " UNIQUE"
_SCHEMAS = frozenset(table.partition(".")[0] for table in HISTORY_TABLES if "." in table)


def copy_history_tables(database: RehearsalDatabase, here: Catalog, live: Catalog) -> bool:
    """Whether it made any table that the live database has and this one doesn't. Raises ApiError.

    Columns, constraints, indexes and the sequences of columns are copied. A table that PostgreSQL rejects is left out.
    """
    made = False
    for name in HISTORY_TABLES:
        table = SchemaObject("table", name)
        if table in live and table not in here:
            made |= _run(database, ";\n".join(_statements(name, live)))
    return made


def belongs_to_history_table(change: SchemaChange) -> bool:
    """Whether a change is about such a table, or about the schema of one."""
    item = change.object
    if item.kind == "schema":
        return item.name in _SCHEMAS
    definition = change.after or change.before or ""
    owner = definition.rpartition(_OWNED_BY)[2].rpartition(".")[0] if item.kind == "sequence" else ""
    return not HISTORY_TABLES.isdisjoint((item.parent, owner, item.name if item.kind == "table" else ""))


def _statements(table: str, live: Catalog) -> Iterator[str]:
    """What makes the table, in one transaction."""
    schema, dot, _ = table.rpartition(".")
    if dot:
        yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    sequences = {item.name: text for item, text in live.items() if _is_serial(item, text, table, live)}
    for name, text in sequences.items():
        yield f"CREATE SEQUENCE {name} AS {text.partition(_OWNED_BY)[0].partition(_OWNER)[0]}"
    parts = {item: text for item, text in live.items() if item.parent == table}
    columns = [f"{item.name} {text}" for item, text in parts.items() if item.kind == "column"]
    constraints = [
        f"CONSTRAINT {item.name} {text}" for item, text in parts.items() if item.kind == "constraint"
    ]
    yield f"CREATE TABLE {table} ({', '.join((*columns, *constraints))})"
    for name, text in sequences.items():
        yield f"ALTER SEQUENCE {name} OWNED BY {text.rpartition(_OWNED_BY)[2]}"
    for item, text in parts.items():
        if item.kind == "index":
            unique = "UNIQUE " if text.endswith(_UNIQUE) else ""
            yield f"CREATE {unique}INDEX {item.name} ON {table} {text.removesuffix(_UNIQUE)}"


def _is_serial(item: SchemaObject, definition: str, table: str, live: Catalog) -> bool:
    """Whether it is the sequence of one of the table's columns; those of identity columns are made with the column."""
    owner, _, column = definition.rpartition(_OWNED_BY)[2].rpartition(".")
    identity = " AS IDENTITY" in live.get(SchemaObject("column", column, table), "")
    return item.kind == "sequence" and owner == table and not identity


def _run(database: RehearsalDatabase, statements: str) -> bool:
    """Whether PostgreSQL accepts them all."""
    try:
        database.api.sql(database.project, statements)
    except SqlFailed:
        return False
    return True
