"""What no recorded file makes, and isn't managed: the history tables of other migration tools, and what `policy.unmanaged` names.

They are no differences from the live schema, and aren't compared before steps. A rehearsal's database gets copies of such tables:
a migration may use or drop them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.model.migration_history import HISTORY_TABLES

_OWNED_BY, _OWNER, _UNIQUE = " OWNED BY ", " OWNER ", " UNIQUE"
_SCHEMAS = frozenset(table.partition(".")[0] for table in HISTORY_TABLES if "." in table)
_MOST_COPIES = 200
"""Tables that are copied; each takes milliseconds."""


def managed(catalog: Catalog, unmanaged: Unmanaged) -> Catalog:
    """The catalog without what isn't managed, and without the schemas of other tools."""
    return {
        item: text
        for item, text in unmanaged.without(catalog).items()
        if item.kind != "schema" or item.name not in _SCHEMAS
    }


def copy_tables(database: RehearsalDatabase, here: Catalog, live: Catalog, unmanaged: Unmanaged) -> bool:
    """Whether it made any unmanaged table that the live database has and this one doesn't. Raises ApiError.

    Columns, constraints, indexes and the sequences of columns are copied. A table that PostgreSQL rejects is left out.
    """
    missing = [
        item
        for item, text in live.items()
        if item.kind == "table" and item not in here and unmanaged.includes(item, text)
    ]
    if not missing:
        return False
    source = _Source.of(live, unmanaged)
    copied = [_run(database, ";\n".join(source.statements(item.name))) for item in missing[:_MOST_COPIES]]
    return any(copied)


@dataclass(frozen=True, slots=True)
class _Source:
    """The live schema, by what objects belong to. `schemas` may be created."""

    live: Catalog
    parts: Mapping[str, Catalog]
    schemas: frozenset[str]

    @classmethod
    def of(cls, live: Catalog, unmanaged: Unmanaged) -> _Source:
        parts: dict[str, dict[SchemaObject, str]] = {}
        for item, text in live.items():
            owner = _owner_of_sequence(text) if item.kind == "sequence" else item.parent
            parts.setdefault(owner, {})[item] = text
        schemas = {
            item.name
            for item, text in live.items()
            if item.kind == "schema" and unmanaged.includes(item, text)
        }
        return cls(live, parts, frozenset(schemas | _SCHEMAS))

    def statements(self, table: str) -> Iterator[str]:
        """What makes the table, in one transaction."""
        schema = table.rpartition(".")[0]
        if schema in self.schemas:
            yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
        parts = self.parts.get(table, {})
        sequences = {item.name: text for item, text in parts.items() if self._is_serial(item, text)}
        for name, text in sequences.items():
            yield f"CREATE SEQUENCE {name} AS {text.partition(_OWNED_BY)[0].partition(_OWNER)[0]}"
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

    def _is_serial(self, item: SchemaObject, definition: str) -> bool:
        """Whether it is the sequence of a column that isn't an identity, whose sequence is made with it."""
        table, _, column = definition.rpartition(_OWNED_BY)[2].rpartition(".")
        return item.kind == "sequence" and " AS IDENTITY" not in self.live.get(
            SchemaObject("column", column, table), ""
        )


def _owner_of_sequence(definition: str) -> str:
    return definition.rpartition(_OWNED_BY)[2].rpartition(".")[0] if _OWNED_BY in definition else ""


def _run(database: RehearsalDatabase, statements: str) -> bool:
    """Whether PostgreSQL accepts them all."""
    try:
        database.api.sql(database.project, statements)
    except SqlFailed:
        return False
    return True
