"""Copies of unmanaged live tables in a rehearsal's database, with the types and sequences that they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mosaic_deploy.diff.schema import Unmanaged, owning_table
from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.model.migration_history import HISTORY_TABLES
from mosaic_deploy.sql.quote import dollar_quote

OTHER_SCHEMAS = frozenset(table.partition(".")[0] for table in HISTORY_TABLES if "." in table)
"""Schemas of other migration tools."""
MOST_COPIES = 200
"""Tables that are copied; each takes milliseconds."""
_OWNED_BY = " OWNED BY "
_OWNER = re.compile(r' OWNER (?:"(?:[^"]|"")*"|\S+)$')
_UNIQUE = " UNIQUE"
_ONLY_ALTERED = re.compile(
    r"(?: STORAGE [A-Z]+)?(?: COMPRESSION \w+)?(?: STATISTICS \d+)?(?: SET \([^()]*\))?$"
)
"""The end of a column's definition that CREATE TABLE doesn't accept there, and no statement needs."""
_INDEX_STATE = re.compile(r"(?: STATISTICS \d+ \d+)*(?: INVALID)?$")
_DISABLED = " TRIGGERS DISABLED"
_OF_PARENT = " PARTITION OF "
_ATOM = r"""[^()'"]|'(?:[^']|'')*'|"[^"]*\""""
_INSIDE = _ATOM
for _ in range(5):
    _INSIDE = rf"{_ATOM}|\((?:{_INSIDE})*\)"
_LIST = rf"\((?:{_INSIDE})*\)"
_PARTITION = re.compile(
    rf"(?:UNLOGGED )?(?P<of>PARTITION OF .+? (?:DEFAULT|FOR VALUES (?:IN|WITH) {_LIST}|FOR VALUES FROM {_LIST} TO {_LIST}))"
)
_PARTITIONED = re.compile(rf"\bPARTITION BY [A-Z]+ {_LIST}")


def copy_tables(database: RehearsalDatabase, here: Catalog, live: Catalog, unmanaged: Unmanaged) -> bool:
    """Whether it made any unmanaged table or column that the live database has and this one doesn't. Raises ApiError.

    Columns, constraints, indexes, and the types and sequences of columns are copied. What PostgreSQL rejects is left out.
    """
    new = [
        item
        for item, text in live.items()
        if item.kind in ("table", "column") and item not in here and unmanaged.includes(item, text)
    ]
    if not new:
        return False
    tables = [item.name for item in new if item.kind == "table"][:MOST_COPIES]
    columns = [
        f"ALTER TABLE {item.parent} ADD COLUMN {item.name} {_column(live[item])}"
        for item in new
        if item.kind == "column" and SchemaObject("table", item.parent) in here
    ]
    copied = _copy(database, TableSource.of(live, unmanaged), tables)
    return any([copied, *(accepted(database, each) for each in columns[: MOST_COPIES - len(tables)])])


def _copy(database: RehearsalDatabase, source: TableSource, tables: Sequence[str]) -> bool:
    """Whether it made any of the tables. Those that need others, such as partitions, are made after them."""
    waiting, made = list(tables), list[str]()
    while new := [table for table in waiting if _make(database, source, table)]:
        made += new
        waiting = [table for table in waiting if table not in new]
    made += [table for table in waiting if accepted(database, ";\n".join(source.table(table, plain=True)))]
    for statement in (each for table in made for each in source.foreign_keys(table)):
        accepted(database, statement)
    return bool(made)


def _make(database: RehearsalDatabase, source: TableSource, table: str) -> bool:
    needed, others = [*source.table(table)], [*source.parts_of(table)]
    if accepted(database, ";\n".join((*needed, *others))):
        return True
    if not accepted(database, ";\n".join(needed)):
        return False
    for statement in others:
        accepted(database, statement)
    return True


def accepted(database: RehearsalDatabase, statements: str) -> bool:
    """Whether PostgreSQL accepts them all; otherwise it has done none of them. Raises ApiError."""
    try:
        database.api.sql(database.project, statements)
    except SqlFailed:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TableSource:
    """The live schema, by what objects belong to. `schemas` may be created, and so may the types and sequences of `loose`."""

    parts: Mapping[str, Catalog]
    schemas: frozenset[str]
    loose: Catalog
    unmanaged_tables: tuple[str, ...]

    @classmethod
    def of(cls, live: Catalog, unmanaged: Unmanaged) -> TableSource:
        parts: dict[str, dict[SchemaObject, str]] = {}
        for item, text in live.items():
            owner = item.name if item.kind == "table" else owning_table(item, text)
            parts.setdefault(owner, {})[item] = text
        known = {item: text for item, text in live.items() if unmanaged.includes(item, text)}
        schemas = {item.name for item in known if item.kind == "schema"}
        # Types before domains, as these may be of them.
        loose = {
            item: text
            for kind in ("type", "domain", "sequence")
            for item, text in known.items()
            if item.kind == kind and not owning_table(item, text)
        }
        tables = tuple(item.name for item in known if item.kind == "table")
        return cls(parts, frozenset(schemas | OTHER_SCHEMAS), loose, tables)

    def statements(self, table: str, *, plain: bool = False) -> Iterator[str]:
        """What makes the table, in one transaction. A `plain` one has no foreign keys and isn't a partition."""
        yield from self.table(table, plain=plain)
        yield from self.parts_of(table)
        if not plain:
            yield from self.foreign_keys(table)

    def table(self, table: str, *, plain: bool = False) -> Iterator[str]:
        """What makes the table with its columns, and what these need."""
        schema = table.rpartition(".")[0]
        if schema in self.schemas:
            yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
        definition = self.parts.get(table, {}).get(SchemaObject("table", table), "")
        partition = None if plain else _PARTITION.match(definition)
        partitioned = _PARTITIONED.search(definition)
        by = f" {partitioned[0]}" if partitioned else ""
        if partition:
            yield f"CREATE TABLE {table} {partition['of']}{by}"
            return
        columns = [f"{name} {text}" for name, text in self._columns(table).items()]
        yield from self._needed_by("\n".join(columns))
        sequences = {
            item.name: text for item, text in self._parts(table, "sequence") if self._is_serial(table, text)
        }
        for name, text in sequences.items():
            yield f"CREATE SEQUENCE IF NOT EXISTS {name} AS {_sequence(text)}"
        unlogged = "UNLOGGED " if definition.startswith("UNLOGGED") and not by else ""
        yield f"CREATE {unlogged}TABLE {table} ({', '.join(columns)}){by}"
        for name, text in sequences.items():
            yield f"ALTER SEQUENCE {name} OWNED BY {text.rpartition(_OWNED_BY)[2]}"

    def parts_of(self, table: str) -> Iterator[str]:
        """What makes its constraints and indexes, except foreign keys and what a partition has from its table."""
        for item, text in self._parts(table, "constraint"):
            if not text.startswith("FOREIGN KEY") and _OF_PARENT not in text:
                yield _constraint(item, text)
        for item, text in self._parts(table, "index"):
            if _OF_PARENT not in text:
                full = _INDEX_STATE.sub("", text)
                unique = "UNIQUE " if full.endswith(_UNIQUE) else ""
                yield f"CREATE {unique}INDEX {item.name} ON {table} {full.removesuffix(_UNIQUE)}"

    def foreign_keys(self, table: str) -> Iterator[str]:
        for item, text in self._parts(table, "constraint"):
            if text.startswith("FOREIGN KEY"):
                yield _constraint(item, text)

    def _parts(self, table: str, kind: str) -> Iterator[tuple[SchemaObject, str]]:
        return ((item, text) for item, text in self.parts.get(table, {}).items() if item.kind == kind)

    def _columns(self, table: str) -> dict[str, str]:
        return {item.name: _column(text) for item, text in self._parts(table, "column")}

    def _needed_by(self, columns: str) -> Iterator[str]:
        """What makes the types and sequences that the columns mention, unless they exist."""
        mentioned = dict[SchemaObject, str]()
        texts = columns
        for item, text in reversed([*self.loose.items()]):
            if re.search(rf'(?<![\w$".]){re.escape(item.name)}(?![\w$"])', texts):
                mentioned[item] = text
                texts += f"\n{text}"
        for item, text in reversed([*mentioned.items()]):
            if item.kind == "sequence":
                yield f"CREATE SEQUENCE IF NOT EXISTS {item.name} AS {_sequence(text)}"
            else:
                schema = item.name.rpartition(".")[0]
                new = f"CREATE SCHEMA IF NOT EXISTS {schema}; " if schema in self.schemas else ""
                create = f"{new}CREATE {item.kind} {item.name} AS {_OWNER.sub('', text)}"
                yield f"DO {dollar_quote(f'BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END')}"

    def _is_serial(self, table: str, sequence: str) -> bool:
        """Whether it is the sequence of a column that isn't an identity, whose sequence is made with it."""
        column = sequence.rpartition(_OWNED_BY)[2].removeprefix(f"{table}.")
        return " AS IDENTITY" not in self._columns(table).get(column, "")


def _column(definition: str) -> str:
    return _ONLY_ALTERED.sub("", definition)


def _sequence(definition: str) -> str:
    return _OWNER.sub("", definition.rpartition(_OWNED_BY)[0] or definition).removeprefix("UNLOGGED ")


def _constraint(item: SchemaObject, definition: str) -> str:
    text = definition.removesuffix(_DISABLED)
    return f"ALTER TABLE {item.parent} ADD CONSTRAINT {item.name} {text}"
