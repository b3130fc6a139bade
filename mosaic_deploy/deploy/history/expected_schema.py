"""What files leave behind in a database, as far as that is certain, and how drops and renames take it away.

A name without a schema may be in any schema, so a drop takes away whatever it may mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from mosaic_deploy.deploy.history.created_objects import Kind, NewColumn, NewPart, namespace
from mosaic_deploy.errors import Location
from mosaic_deploy.source.migrations.files import MigrationFile, statement_location
from mosaic_deploy.sql.hazards.syntax.names import Name
from mosaic_deploy.sql.hazards.syntax.types import ColumnType
from mosaic_deploy.sql.parse import Statement

Key = tuple[str, str]
"""Schema and name; `public` if the file names no schema."""
TEMPORARY = "pg_temp"
"""The schema of temporary objects."""
_BUILT_IN = frozenset(
    [
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "bool",
        "text",
        "varchar",
        "bpchar",
        "bytea",
        "uuid",
        "json",
        "jsonb",
        "date",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
        "interval",
        "inet",
        "cidr",
    ]
)


@dataclass(frozen=True, slots=True)
class Place:
    """The statement that creates something. `number` is that of the file."""

    number: int
    file: MigrationFile
    statement: Statement

    @property
    def order(self) -> tuple[int, int]:
        return self.number, self.statement.offset

    @property
    def location(self) -> Location:
        return statement_location(self.file, self.statement)


@dataclass(frozen=True, slots=True)
class Column:
    """A column, where it was added or first altered, and where it was last given its type."""

    new: NewColumn
    place: Place
    typed: Place

    @property
    def built_in(self) -> ColumnType | None:
        """Its type, if that is surely one of PostgreSQL's usual ones."""
        return self.new.type if self.new.type and self.new.type.name in _BUILT_IN else None


@dataclass(frozen=True, slots=True)
class Part:
    """An index, constraint, trigger, policy or rule of a relation."""

    new: NewPart
    place: Place


@dataclass(slots=True)
class Relation:
    """A table or view with what is certain about it. Without `kind` and `place`, these files only alter it.

    `if_not_exists`: it may be of another kind than the one that was written.
    """

    name: Name
    kind: Kind | None = None
    place: Place | None = None
    if_not_exists: bool = False
    columns: dict[str, Column] = field(default_factory=dict)
    parts: dict[tuple[Kind, str], Part] = field(default_factory=dict)
    parents: set[Key] = field(default_factory=set)
    attached: bool = False
    """Code may have made it a partition or child."""

    @property
    def is_view(self) -> bool:
        return self.kind in (Kind.VIEW, Kind.MATERIALIZED_VIEW)

    @property
    def may_inherit(self) -> bool:
        return bool(self.parents) or self.attached or self.place is None


@dataclass(slots=True)
class Standalone:
    """A sequence, function, type, schema or extension. `kind` is what was written, `if_not_exists`: it may be of another."""

    name: Name
    kind: Kind
    place: Place
    if_not_exists: bool = False
    owners: set[Key] = field(default_factory=set)
    """The tables that own a sequence."""


class ExpectedSchema:
    """All that is expected. Its methods say what a statement takes away."""

    def __init__(self) -> None:
        self.relations: dict[Key, Relation] = {}
        self.standalone: dict[tuple[Kind, Key], Standalone] = {}

    def relation(self, name: Name) -> Relation:
        """The relation of exactly this name, which surely exists now."""
        return self.relations.setdefault(key_of(name), Relation(name))

    def meant(self, name: Name) -> Iterator[Relation]:
        """The relations that the name may mean."""
        return (each for each in self.relations.values() if may_be(each.name, name))

    def affected(self, name: Name) -> list[Relation]:
        """The relations that an ALTER TABLE of this name may change: partitions and children, too."""
        return [each for each in self.relations.values() if each.may_inherit or may_be(each.name, name)]

    def clear(self) -> None:
        self.relations.clear()
        self.standalone.clear()

    def drop_relations(self, names: Collection[Name]) -> None:
        """The relations are gone, with their partitions and the sequences that they own."""
        gone = {key for key, each in self.relations.items() if any(may_be(each.name, name) for name in names)}
        while more := {k for k, each in self.relations.items() if k not in gone and each.parents & gone}:
            gone |= more
        for key in gone:
            del self.relations[key]
        owners = [*names, *(Name(*key) for key in gone)]
        self.drop_owned_sequences(owners)

    def drop_owned_sequences(self, owners: Collection[Name]) -> None:
        self._keep_standalone(
            lambda each: not any(may_be(Name(*key), name) for key in each.owners for name in owners)
        )

    def drop_schemas(self, schemas: Collection[str]) -> None:
        """Schemas are gone, or have other names."""
        for key in [key for key in self.relations if key[0] in schemas]:
            del self.relations[key]
        self._keep_standalone(
            lambda each: (
                each.name.name not in schemas
                if each.kind is Kind.SCHEMA
                else each.kind is Kind.EXTENSION or key_of(each.name)[0] not in schemas
            )
        )

    def drop_standalone(self, kind: Kind, names: Collection[Name]) -> None:
        self._keep_standalone(
            lambda each: (
                namespace(each.kind) is not kind or not any(may_be(each.name, name) for name in names)
            )
        )

    def drop_parts(self, kinds: Collection[Kind], name: str, relations: Iterable[Relation]) -> None:
        for each in relations:
            for kind in kinds:
                each.parts.pop((kind, name), None)

    def drop_index(self, name: Name) -> None:
        """An index is gone, with those of partitions that are attached to it."""
        for each in self.relations.values():
            if each.may_inherit:
                each.parts = {key: part for key, part in each.parts.items() if key[0] is not Kind.INDEX}
            elif may_be(Name(each.name.schema, name.name), name):
                each.parts.pop((Kind.INDEX, name.name), None)

    def drop_column(self, table: Name, column: str) -> None:
        """With it go the parts that mention it, and its sequences."""
        for each in self.affected(table):
            each.columns.pop(column, None)
            each.parts = {key: part for key, part in each.parts.items() if column not in part.new.words}
        self.drop_owned_sequences([table])

    def rename_column(self, table: Name, old: str, new: str) -> None:
        for each in self.affected(table):
            column = each.columns.pop(old, None)
            if column and may_be(each.name, table):
                each.columns[new] = column
            for key, part in each.parts.items():
                if old in part.new.words:
                    each.parts[key] = replace(part, new=replace(part.new, words=part.new.words | {new}))

    def move(self, old: Name, new: Name) -> None:
        """A relation has another name. Of several that may be meant, nothing is certain."""
        each = self.relations.pop(key_of(old), None)
        for other in list(self.meant(old)):
            del self.relations[key_of(other.name)]
        self.drop_owned_sequences([old])
        if each:
            each.name = new
            self.relations[key_of(new)] = each

    def forget_named(self, names: Callable[[str], bool]) -> None:
        """Whatever has such a name may be gone, except tables and views."""
        self._keep_standalone(lambda each: not names(each.name.name))
        for each in self.relations.values():
            each.parts = {key: part for key, part in each.parts.items() if not names(key[1])}

    def forget_types(self, relations: Iterable[Relation], column: str | None = None) -> None:
        """The column, or each one, may have another type."""
        for each in relations:
            for name, found in each.columns.items():
                if column in (None, name):
                    each.columns[name] = replace(found, new=replace(found.new, type=None))

    def cascade(self, names: Collection[str] = (), *, widely: bool) -> None:
        """What CASCADE may drop with relations of these names, or their parts; `widely`: with any other object."""
        for key, each in list(self.relations.items()):
            if each.is_view:
                del self.relations[key]
                continue
            kept = {k: part for k, part in each.parts.items() if not (widely or part.new.depends)}
            each.parts = {} if each.place is None else kept
            each.columns = {
                name: column
                for name, column in each.columns.items()
                if not _may_go(column, names, widely=widely)
            }
        self._keep_standalone(
            lambda each: (
                each.kind is Kind.SCHEMA or not (widely or each.kind in (Kind.FUNCTION, Kind.PROCEDURE))
            )
        )

    def _keep_standalone(self, kept: Callable[[Standalone], bool]) -> None:
        self.standalone = {key: each for key, each in self.standalone.items() if kept(each)}


def _may_go(column: Column, names: Collection[str], *, widely: bool) -> bool:
    """Whether CASCADE may drop the column, because of its type or of the function that computes it."""
    if widely:
        return column.built_in is None
    type_name = f".{column.new.type.name}" if column.new.type else ""
    return any(type_name.endswith(f".{name}") for name in names)


def key_of(name: Name) -> Key:
    return name.schema or "public", name.name


def may_be(one: Name, other: Name) -> bool:
    """Whether both names may mean the same object; one without a schema may be in any but that of temporary objects."""
    schemas = {one.schema, other.schema}
    return one.name == other.name and (len(schemas) == 1 or (None in schemas and TEMPORARY not in schemas))
