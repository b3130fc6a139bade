"""What no recorded file makes, and isn't managed: the history tables of other migration tools, and what `policy.unmanaged` names.

They are no differences from the live schema, and aren't compared before steps. A rehearsal's database gets copies of such tables:
a migration may use or drop them. A base gets them when a recorded file fails without them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from mosaic_deploy.deploy.rehearsal.copied_tables import MOST_COPIES, OTHER_SCHEMAS, TableSource, accepted
from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.live.database.failed_step import StepFailed, step_key
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.model.effects import name_parts, schema_part
from mosaic_deploy.model.other_tools.tools import HISTORY_TABLES
from mosaic_deploy.sql.quote import identifier


def managed(catalog: Catalog, unmanaged: Unmanaged) -> Catalog:
    """The catalog without what isn't managed, and without the schemas of other tools."""
    return {
        item: text
        for item, text in unmanaged.without(catalog).items()
        if item.kind != "schema" or item.name not in OTHER_SCHEMAS
    }


@dataclass(frozen=True, slots=True)
class UnmanagedTables:
    """The unmanaged tables that recorded files may use. `read_live` returns the live schema, and may wait for it."""

    unmanaged: Unmanaged
    read_live: Callable[[], Catalog]

    def may_be_named(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts has a part of an unmanaged name. False for texts that compose it from pieces."""
        words = {_longest_word(pattern) for pattern in self.unmanaged.patterns}
        return any(word in text for text in map(str.lower, texts) for word in words)

    @property
    def facts(self) -> list[list[str]]:
        """What the copies and stubs of a base depend on, in a fixed order."""
        copied = sorted(
            [item.kind, item.parent, item.name, text]
            for item, text in self.read_live().items()
            if item.kind in _COPIED and self.unmanaged.includes(item, text)
        )
        return [list(self.unmanaged.patterns), *copied]


_COPIED = frozenset({"table", "column", "constraint", "index", "sequence", "type", "domain"})
_WRITTEN = re.compile(r'(?:"(?:[^"]|"")+"|[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[\w$]+))*')
_PART_WRITTEN = re.compile(r'"((?:[^"]|"")+)"|([\w$]+)')
_STUB = "mosaic_deploy_stub"
"""The column of a stub: a table in place of one that isn't live any more, whose columns nobody knows."""
_STUBS = f"""SELECT a.attrelid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attname = '{_STUB}' AND c.relkind = 'r'"""
_MISSING = re.compile(r'\b(relation|table|schema) "(.+?)" does not exist')
_NO_COLUMN = re.compile(r'\bcolumn "?([^"]+?)"?(?: of relation "(.+?)")? does not exist')
_NO_CONSTRAINT = re.compile(r'\bconstraint "(.+?)" of relation "(.+?)" does not exist')
_NO_INDEX = re.compile(r'\bindex "(.+?)" does not exist')
_COLUMN_EXISTS = re.compile(r'\bcolumn "(.+?)" of relation "(.+?)" already exists')
_CONSTRAINT_EXISTS = re.compile(r'\bconstraint "(.+?)" for relation "(.+?)" already exists')
_KEY_EXISTS = re.compile(r'\bmultiple primary keys for table "(.+?)"')
_EXISTS = re.compile(r'\brelation "(.+?)" already exists')


@dataclass
class GivenTables:
    """What a base gets when a recorded file fails: unmanaged tables as they are live, and stubs of ones that aren't any more.

    A live table may already have what later files give it; that is then removed. Whatever a base gets, it is only used if
    all that is managed in it is as in the live schema. Methods raise ApiError.
    """

    database: RehearsalDatabase
    tables: UnmanagedTables
    any: bool = field(default=False, init=False)
    """Whether the base has got anything."""
    _tried: set[tuple[str, int, str]] = field(default_factory=set, init=False)

    def help(self, failure: StepFailed) -> bool:
        """Whether it changed something unmanaged that the step failed for, so the step can be run again."""
        for statements in self._remedies(failure):
            attempt = (*step_key(failure.step), statements)
            if attempt not in self._tried and len(self._tried) < MOST_COPIES:
                self._tried.add(attempt)
                if accepted(self.database, statements):
                    self.any = True
                    return True
        return False

    def drop_stubs(self) -> None:
        """Drops the stubs that no file has dropped. One that something else needs stays: that isn't live, either."""
        for row in self.database.api.sql(self.database.project, _STUBS) if self.any else ():
            if self.tables.unmanaged.includes_name(str(row["name"])):
                accepted(self.database, f"DROP TABLE {row['name']}")

    def _remedies(self, failure: StepFailed) -> Iterator[str]:
        """Statements that each may make the step possible, the best first."""
        message = failure.message
        if found := _NO_COLUMN.search(message):
            yield from self._missing_column([*_columns(found[0], found[1])], found[2], failure)
        elif found := _NO_CONSTRAINT.search(message):
            for table in self._names(found[2], failure):
                yield f"ALTER TABLE {table} ADD CONSTRAINT {identifier(found[1])} CHECK (true)"
        elif found := _NO_INDEX.search(message):
            yield from self._missing_index(found[1], failure)
        elif found := _MISSING.search(message):
            yield from self._missing(found[1], found[2], failure)
        else:
            yield from self._make_room(failure)

    def _make_room(self, failure: StepFailed) -> Iterator[str]:
        message = failure.message
        if found := _COLUMN_EXISTS.search(message):
            for table in self._names(found[2], failure):
                yield f"ALTER TABLE {table} DROP COLUMN {identifier(found[1])}"
        elif found := _CONSTRAINT_EXISTS.search(message):
            for table in self._names(found[2], failure):
                yield f"ALTER TABLE {table} DROP CONSTRAINT {identifier(found[1])}"
        elif found := _KEY_EXISTS.search(message):
            for table in self._names(found[1], failure):
                for item, text in self._live_parts(table):
                    if text.startswith("PRIMARY KEY"):
                        yield f"ALTER TABLE {table} DROP CONSTRAINT {item.name}"
        elif found := _EXISTS.search(message):
            yield from (f"DROP TABLE {table}" for table in self._names(found[1], failure))
            yield from self._drop_index(found[1])

    def _missing(self, kind: str, name: str, failure: StepFailed) -> Iterator[str]:
        if kind == "schema":
            if self._may_create(identifier(name)):
                yield f"CREATE SCHEMA {identifier(name)}"
            return
        catalog = self.tables.read_live()
        source = TableSource.of(catalog, self.tables.unmanaged)
        live = {_quoted(item.name): item.name for item in catalog if item.kind == "table"}
        for table in self._names(name, failure):
            if table in live:
                yield ";\n".join(source.statements(live[table]))
                yield ";\n".join(source.statements(live[table], plain=True))
            schema = schema_part(table)
            new = f"CREATE SCHEMA IF NOT EXISTS {schema};\n" if schema and self._may_create(schema) else ""
            yield f"{new}CREATE TABLE {table} ({_STUB} text)"

    def _missing_column(
        self, columns: Sequence[str], relation: str | None, failure: StepFailed
    ) -> Iterator[str]:
        names = [*self._names(relation, failure)] if relation else [*self._used(failure)]
        for table in names:
            for item, text in self._live_parts(table):
                if item.kind == "column" and name_parts(item.name)[0] in columns:
                    yield f"ALTER TABLE {table} ADD COLUMN {item.name} {text}"
        for column in columns:
            yield from (f"ALTER TABLE {table} ADD COLUMN {identifier(column)} text" for table in names)

    def _missing_index(self, name: str, failure: StepFailed) -> Iterator[str]:
        """An index that isn't live any more is made on any unmanaged table of its schema: nobody knows which one it had."""
        source = TableSource.of(self.tables.read_live(), self.tables.unmanaged)
        written = (parts for parts in _written_names(failure) if name in (parts[-1], ".".join(parts)))
        named = dict.fromkeys(("", *parts)[-2:] for parts in written) | dict.fromkeys(_readings(name))
        for (schema, last), table in product(named, source.unmanaged_tables):
            if name_parts(schema_part(table) or "public")[0] == (schema or "public"):
                index = f"CREATE INDEX {identifier(last)} ON {table} ((true))"
                yield index
                yield ";\n".join((*source.statements(table, plain=True), index))

    def _drop_index(self, name: str) -> Iterator[str]:
        for item, text in self.tables.read_live().items():
            is_named = item.kind == "index" and item.name in (name, identifier(name))
            if is_named and self.tables.unmanaged.includes(item, text):
                schema = schema_part(item.parent) or "public"
                yield f"DROP INDEX {schema}.{item.name}"

    def _names(self, name: str, failure: StepFailed) -> Iterator[str]:
        """The quoted names of the unmanaged relations that PostgreSQL may mean by `name`, with or without their schema."""
        lasts = {last for _, last in _readings(name)}
        written = [parts for parts in _written_names(failure) if parts[-1] in lasts]
        written.sort(key=lambda parts: ".".join(parts) != name)
        live = [item.name for item in self.tables.read_live() if item.kind == "table"]
        known = [parts for each in (*live, *HISTORY_TABLES) if (parts := name_parts(each))[-1] in lasts]
        read = sorted(_readings(name), key=lambda parts: parts not in known)
        for each in dict.fromkeys(map(_joined, (*written, *read, *known))):
            if self.tables.unmanaged.includes_name(each):
                yield each

    def _used(self, failure: StepFailed) -> Iterator[str]:
        """The unmanaged tables whose names the failed statement has."""
        words = dict.fromkeys(map(_joined, _written_names(failure)))
        yield from (name for name in words if self.tables.unmanaged.includes_name(name))

    def _live_parts(self, table: str) -> Iterator[tuple[SchemaObject, str]]:
        return (
            (item, text)
            for item, text in self.tables.read_live().items()
            if item.parent and _quoted(item.parent) == table
        )

    def _may_create(self, schema: str) -> bool:
        return name_parts(schema)[0] in OTHER_SCHEMAS or self.tables.unmanaged.includes_name(
            f"schema {schema}"
        )


def _text(failure: StepFailed) -> str:
    statement = failure.step.sql.statements[failure.statement - 1] if failure.statement else None
    return statement.written if statement else ""


def _written_names(failure: StepFailed) -> Iterator[tuple[str, ...]]:
    """The names in the failed statement, also in its strings, each as one or two unquoted parts."""
    for each in _WRITTEN.findall(_text(failure)):
        parts = tuple(
            quoted.replace('""', '"') or plain.lower() for quoted, plain in _PART_WRITTEN.findall(each)
        )
        yield parts[:2]


def _readings(name: str) -> list[tuple[str, str]]:
    """What a name in a message can mean, as schema and name: PostgreSQL doesn't quote them there, and both may have dots."""
    dots = [found.start() for found in re.finditer(r"\.", name)]
    return [*((name[:dot], name[dot + 1 :]) for dot in reversed(dots)), ("", name)]


def _columns(message: str, name: str) -> Iterator[str]:
    """What a column in a message can mean. With quotes it is its name; without them, it is that after the one of its table."""
    if 'column "' not in message:
        yield from (name[dot.end() :] for dot in re.finditer(r"\.", name))
    if 'column "' in message or "." not in name:
        yield name


def _quoted(name: str) -> str:
    """An SQL name in the one form in which they are compared here."""
    return _joined(name_parts(name))


def _joined(parts: Sequence[str]) -> str:
    return ".".join(identifier(part) for part in parts if part and (part != "public" or len(parts) == 1))


def _longest_word(pattern: str) -> str:
    """Of `cache_*`: `cache_`; of `jobs.*`: `jobs`."""
    schema, _, name = pattern.rpartition(".")
    return max((name if name.strip("*") else schema).lower().split("*"), key=len)
