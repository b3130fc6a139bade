"""Copies of unmanaged live tables in a rehearsal's database, with the types and sequences that they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mosaic_deploy.diff.schema import Unmanaged, owning_table
from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.model.effects import schema_part
from mosaic_deploy.model.other_tools.tools import HISTORY_TABLES
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
_DISABLED = re.compile(" TRIGGERS DISABLED$")
_ENDS = {"constraint": _DISABLED, "index": _INDEX_STATE, "column": _ONLY_ALTERED}
"""By kind of what a table has, in the order in which they are dropped: the end of the definition that isn't copied."""
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
    """Makes the unmanaged tables what they are live. Returns whether it changed any. Raises ApiError.

    Columns, constraints, indexes, and the types and sequences of columns are copied. Files may have made such a table, and others
    have dropped or changed it since. What PostgreSQL rejects is left as it is.
    """
    before, after = (_parts_of_tables(catalog, unmanaged) for catalog in (here, live))
    if before == after:
        return False
    source = TableSource.of(live, unmanaged)
    dropped = [accepted(database, f"DROP TABLE {table}") for table in before.keys() - after.keys()]
    copied = _copy(database, source, [*after.keys() - before.keys()][:MOST_COPIES])
    changed = [
        _change(database, source, table, before[table], after[table])
        for table in before.keys() & after.keys()
        if before[table] != after[table]
    ]
    return any((*dropped, copied, *changed))


def _parts_of_tables(catalog: Catalog, unmanaged: Unmanaged) -> Mapping[str, Catalog]:
    """The columns, constraints and indexes of each unmanaged table, without what isn't copied of their definitions."""
    found: dict[str, dict[SchemaObject, str]] = {
        item.name: {}
        for item, text in catalog.items()
        if item.kind == "table" and unmanaged.includes(item, text)
    }
    for item, text in catalog.items():
        if item.parent in found and item.kind in _ENDS:
            found[item.parent][item] = _ENDS[item.kind].sub("", text)
    return found


def _change(
    database: RehearsalDatabase, source: TableSource, table: str, before: Catalog, after: Catalog
) -> bool:
    """Whether it changed anything of a table that has other parts than live ones. A column with another definition is made again."""
    statements = [
        *(_drop(item) for kind in _ENDS for item in before if item.kind == kind and item not in after),
        *(
            _drop(item)
            for item in before
            if item.kind != "column" and after.get(item, before[item]) != before[item]
        ),
    ]
    for item, text in after.items():
        if item.kind == "column" and before.get(item) != text:
            again = f"{_drop(item)}; " if item in before else ""
            statements.append(f"{again}ALTER TABLE {table} ADD COLUMN {item.name} {text}")
    # Those that are there are rejected; a column that was made again has lost its own.
    statements += [*source.parts_of(table), *source.foreign_keys(table)]
    done = [accepted(database, statement) for statement in statements]
    return any(done)


def _drop(item: SchemaObject) -> str:
    if item.kind == "index":
        return f"DROP INDEX {item.parent.rpartition('.')[0] or 'public'}.{item.name}"
    return f"ALTER TABLE {item.parent} DROP {item.kind} {item.name}"


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
        schema = schema_part(table)
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
                schema = schema_part(item.name)
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
    text = _DISABLED.sub("", definition)
    return f"ALTER TABLE {item.parent} ADD CONSTRAINT {item.name} {text}"
