"""Hazards of migrations: what a person should know before applying them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.errors import Location


class HazardSeverity(StrEnum):
    """How serious a hazard is, from the worst to the mildest."""

    DESTRUCTIVE = "destructive"
    """Data is lost."""
    SECURITY = "security"
    """Somebody gets more access than before."""
    BLOCKING = "blocking"
    """Reads or writes of a table wait for the statement, or the table is rewritten."""
    RISKY = "risky"
    """It may fail on live data, or break the code that is currently deployed."""
    ADVICE = "advice"
    """It works, but will cause problems later."""

    @property
    def rank(self) -> int:
        """0 for the most serious."""
        return list(HazardSeverity).index(self)


@dataclass(frozen=True, slots=True)
class Hazard:
    """A finding about one statement. `code` is the rule, `object` the affected object as named in the file.

    `table` is the table whose rows a destructive hazard destroys: `public.orders`, `app.*` for a whole schema, `*` if
    unknown; empty for other hazards. `cascades_to` are other tables that lose rows or values, in the same form.
    `instead` is a short, safer alternative.
    """

    code: str
    severity: HazardSeverity
    message: str
    object: str
    location: Location
    table: str = ""
    instead: str = ""
    ignored: str = ""
    """The reason in a `mosaic-ignore` comment; empty if there is none."""

    @property
    def suppressed(self) -> bool:
        """Whether a plan doesn't show it. Destructive hazards are always shown, with the given reason."""
        return bool(self.ignored) and self.severity is not HazardSeverity.DESTRUCTIVE

    cascades_to: tuple[str, ...] = ()
    schema: str = ""
    """For a whole schema in `table`, its name: a table could be named `*` as well."""
    step: int = 0
    """The step of the file that the statement is in, from 1."""
    empty_tables: tuple[str, ...] = ()
    """The tables that would lose rows, but held none when the plan was made. The step checks that again before it runs;
    the hazard is then only risky, and needs no confirmation."""


@dataclass(frozen=True, slots=True)
class RowCheck:
    """How many live rows violate a constraint that the migrations add or tighten: `SET NOT NULL on users.email`.

    `rows` is None if that wasn't checked, for `reason`. If there are `more`, they weren't counted. `keys` are the primary keys of
    the first rows. `written`: the migrations also change rows on which this depends, so it only says how the rows are now.
    `address` is the change of the plan that makes the constraint; empty if that isn't known. `location` is its file, with the line
    of the statement if only one can be meant.
    """

    constraint: str
    kind: str
    table: str
    rows: int | None = None
    more: bool = False
    keys: tuple[str, ...] = ()
    written: bool = False
    reason: str = ""
    address: str = ""
    location: Location | None = None

    @property
    def passes(self) -> bool:
        """Whether no live row violates it."""
        return self.rows == 0

    @property
    def fails(self) -> bool:
        """Whether the migration would fail on the live rows."""
        return bool(self.rows) and not self.written


def table_is_affected(table: str, protected: str) -> bool:
    """Whether destroying `table` (see Hazard) may destroy rows of the table `protected` (`orders` or `app.orders`)."""
    name = protected if "." in protected else f"public.{protected}"
    schema = table.removesuffix(".*")
    return table in ("*", name) or (schema != table and name.startswith(f"{schema}."))


def worst_first(hazards: tuple[Hazard, ...]) -> list[Hazard]:
    """Hazards by severity, then in the order in which they occur."""
    return sorted(hazards, key=lambda hazard: hazard.severity.rank)


def destroying_files(hazards: Iterable[Hazard]) -> frozenset[str]:
    """The paths of the SQL files with a destructive finding."""
    return frozenset(one.location.file for one in hazards if one.severity is HazardSeverity.DESTRUCTIVE)
