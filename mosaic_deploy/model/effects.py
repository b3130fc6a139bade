"""What SQL did to rows and objects that existed before, as measured in its transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from mosaic_deploy.model.quantities import count_text


class EffectKind(StrEnum):
    """What can happen to a table that held rows. Each is one letter in the guard's SQL."""

    DELETED = "d"
    UPDATED = "u"
    EMPTIED = "t"
    """TRUNCATE, or rewritten by something else than a statement of the file that rewrites it."""
    DROPPED = "x"
    COLUMN_DROPPED = "c"
    TYPE_CHANGED = "y"
    UNPROTECTED = "p"
    """It was protected by `policy.protected_tables`, and has a name now that isn't, or another parent."""


@dataclass(frozen=True, slots=True)
class TableEffect:
    """What happened to a table (`public.orders`) that held rows: numbers of rows, and names of columns."""

    table: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    emptied: bool = False
    dropped: bool = False
    columns_dropped: tuple[str, ...] = ()
    types_changed: tuple[str, ...] = ()
    unprotected: bool = False
    rows_kept: bool = False
    """It has been `emptied` by a rewrite that keeps its rows, with other values perhaps."""
    rows_before: int | None = None
    """The rows that it had before, if it was emptied or dropped; None if they weren't counted."""
    rows_moved: bool = False
    """Its `deleted` rows are in other partitions of its partitioned table now, as was agreed to."""

    @property
    def kinds(self) -> frozenset[EffectKind]:
        found = {
            EffectKind.DELETED: self.deleted and not self.rows_moved,
            EffectKind.UPDATED: self.updated,
            EffectKind.EMPTIED: self.emptied,
            EffectKind.DROPPED: self.dropped,
            EffectKind.COLUMN_DROPPED: self.columns_dropped,
            EffectKind.TYPE_CHANGED: self.types_changed,
            EffectKind.UNPROTECTED: self.unprotected,
        }
        return frozenset(kind for kind, happened in found.items() if happened)

    @property
    def loses_all_rows(self) -> bool:
        """Whether it was emptied, rewritten or dropped, which no counter of rows shows."""
        return self.emptied or self.dropped

    @property
    def facts(self) -> dict[str, object]:
        """Its fields as JSON, without those that say nothing."""
        found = asdict(self)
        return {key: value for key, value in found.items() if value or (key == "rows_before" and value == 0)}

    @property
    def text(self) -> str:
        """`orders: deletes 3 rows, drops column fax`."""
        return f"{self.table.removeprefix('public.')}: {', '.join(self._parts())}"

    def _parts(self) -> Iterator[str]:
        counted = "" if self.rows_before is None else f" ({count_text(self.rows_before, 'row')})"
        if self.dropped:
            yield f"drops the table{counted}"
        if self.emptied:
            what = "rewrites the table" if self.rows_kept else "empties it or replaces all its rows"
            yield f"{what}{counted}"
        if self.deleted:
            rows = count_text(self.deleted, "row")
            yield f"moves {rows} to another partition" if self.rows_moved else f"deletes {rows}"
        if self.updated:
            yield f"updates {count_text(self.updated, 'row')}"
        if self.inserted:
            yield f"inserts {count_text(self.inserted, 'row')}"
        if self.columns_dropped:
            yield f"drops column {', '.join(self.columns_dropped)}"
        if self.types_changed:
            yield f"changes the type of {', '.join(self.types_changed)}"
        if self.unprotected:
            yield "renames, moves or detaches it, and policy.protected_tables no longer protects it"


@dataclass(frozen=True, slots=True)
class Effects:
    """What a step did: to tables that held rows before the run, and objects (`view public.v`) from before it that are gone."""

    tables: tuple[TableEffect, ...] = ()
    objects: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.objects)

    @property
    def texts(self) -> tuple[str, ...]:
        dropped = (f"drops {name.replace(' public.', ' ')}" for name in self.objects)
        return (*(each.text for each in self.tables), *dropped)


def parse_effects(found: object) -> Effects:
    """The effects from the guard's JSON. Raises ValueError."""
    try:
        facts: Any = found
        return Effects(
            tuple(
                table
                for table in map(_parse_table, facts.get("tables") or ())
                if table.kinds or table.inserted or table.rows_moved
            ),
            tuple(str(each) for each in facts.get("objects") or ()),
        )
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("effects in an unexpected format") from error


def _parse_table(found: Mapping[str, object]) -> TableEffect:
    def number(name: str) -> int:
        return int(str(found.get(name) or 0))

    def names(name: str) -> tuple[str, ...]:
        listed = found.get(name)
        return tuple(map(str, listed)) if isinstance(listed, list) else ()

    return TableEffect(
        str(found["table"]),
        number("inserted"),
        number("updated"),
        number("deleted"),
        bool(found.get("emptied")),
        bool(found.get("dropped")),
        names("columns_dropped"),
        names("types_changed"),
        bool(found.get("unprotected")),
        bool(found.get("rows_kept")),
        number("rows_before") if "rows_before" in found else None,
        bool(found.get("rows_moved")),
    )


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Rows of a live `table` (`public.orders`) that step `step` (from 1) of the plan's change `address` wrote in the rehearsal
    although no statement of the file says so: a trigger, view, rule, function or foreign key did.

    `updates` and `deletes` were counted there. If both are false, the table was only locked for writing, because there were no rows:
    then the step may update rows, and nothing says whether it deletes any. `shown` is the table's SQL name; `line` the statement's,
    None if that isn't known.
    """

    table: str
    shown: str
    address: str
    step: int
    line: int | None = None
    updates: bool = False
    deletes: bool = False


_PART_OF_NAME = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
_SCHEMA_PART = re.compile(r'((?:"(?:[^"]|"")*"|[^".])+)\.')


def name_parts(name: str) -> tuple[str, ...]:
    """The unquoted parts of an SQL name: `jobs` and `Odd.Name` of `jobs."Odd.Name"`."""
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _PART_OF_NAME.findall(name))


def schema_part(name: str) -> str:
    """The schema of an SQL name, as SQL; "" without one."""
    found = _SCHEMA_PART.match(name)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True, order=True)
class Touched:
    """What a step touches. `name` is an SQL name without `public.` and arguments.

    `kind` is `relation`, with its columns, constraints, indexes, triggers, policies, rules and grants, the foreign keys that
    reference it, and the tables that inherit from it; `routine` for all routines of a name; `type`, also a domain; `index`;
    `schema`, with its grants; and `database` for what may act on any statement, such as casts and event triggers.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


ObjectKey = tuple[str, str, str]
"""The kind, name and parent of a SchemaObject."""
ANY_DEFINITION = "*"
"""Instead of a digest: the object exists."""


@dataclass(frozen=True, slots=True)
class StepTouches:
    """What the step (from 1) of the plan's change `address` touched in the rehearsal, with the mode in which an apply locks it.

    The mode is empty for what isn't locked. It includes what didn't exist before the plan. Of this, the step may change `changes`.
    `words` are the names, in lower case, that it may look up: nothing else may have one of them.
    """

    address: str
    step: int
    touches: Mapping[Touched, str]
    changes: frozenset[Touched] = frozenset()
    words: frozenset[str] = frozenset()
    leaves: Mapping[ObjectKey, str] | None = None
    """The objects that it and the steps before it, since the last one with `leaves`, changed there: the digests of their new
    definitions, "" for what was dropped, and ANY_DEFINITION for what the live server may print in another way. None if the schema
    wasn't read after it, or isn't to be compared."""
