"""Objects of a database schema, as read from PostgreSQL's catalogs, their differences, drift, and what a rehearsal changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class SchemaObject:
    """A table, or an object in the table `parent`, such as a column or index. Names are SQL names without `public.`.

    Of a grant, `name` is who has it, and `parent` what it is on; of a comment, `name` is the kind and name of its object.
    """

    kind: str
    name: str
    parent: str = ""

    def __str__(self) -> str:
        """`table items`, `column items.price`, `index items_name on items`, `grant to app on items`."""
        if self.kind == "comment":
            return f"comment on {self.name}"
        kind = "grant to" if self.kind == "grant" else self.kind
        if not self.parent:
            return f"{kind} {self.name}"
        return (
            f"{kind} {self.parent}.{self.name}"
            if kind == "column"
            else f"{kind} {self.name} on {self.parent}"
        )


Catalog = Mapping[SchemaObject, str]
"""Schema objects and their definitions in PostgreSQL's form; empty if there is nothing beyond the name."""


_PRIVILEGES = ("grant", "default privileges")


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A changed object. `before` is None if it was added, `after` is None if it was dropped."""

    object: SchemaObject
    before: str | None
    after: str | None

    @property
    def action(self) -> str:
        if self.before is None:
            return "add"
        return "drop" if self.after is None else "change"

    @property
    def definition(self) -> str:
        """`integer → bigint`, or the new definition; nothing for one of several lines, such as a function's body.

        Of what was dropped, only privileges.
        """
        before, after = self.before, self.after
        if "\n" in f"{before or ''}{after or ''}":
            return ""
        if after is None:
            return (before or "") if self.object.kind in _PRIVILEGES else ""
        if before is None:
            return after
        return f"{before or 'nothing'} → {after or 'nothing'}"

    @property
    def summary(self) -> str:
        """`column books.title text`, without a sign."""
        return f"{self.object} {self.definition}".rstrip()


class SchemaState(StrEnum):
    """What a comparison of the live schema with the recorded one said."""

    UNCHANGED = "unchanged"
    DRIFTED = "drifted"
    NOT_RECORDED = "not_recorded"
    """No deploy has recorded a schema yet, so the next one records the baseline."""
    UNFINISHED = "unfinished"
    """A deploy began to change the schema, and didn't record the result."""
    SERVER_CHANGED = "server_changed"
    """Another major version of PostgreSQL, which may write the same definitions otherwise."""
    UNREADABLE = "unreadable"
    """The database rejected the comparison."""

    @property
    def is_compared(self) -> bool:
        return self in (SchemaState.UNCHANGED, SchemaState.DRIFTED)


@dataclass(frozen=True, slots=True)
class SchemaComparison:
    """The objects that differ: as recorded (`before`) and as they are now (`after`), each without those that don't exist.

    `digest` is of the whole live schema, empty if it wasn't compared. `deploy_id` and `recorded_at` are of the deploy that
    recorded the schema; if that is UNFINISHED, `open_by` is the deploy that didn't.
    """

    state: SchemaState
    before: Catalog = field(default_factory=dict)
    after: Catalog = field(default_factory=dict)
    digest: str = ""
    deploy_id: str = ""
    recorded_at: str = ""
    open_by: str = ""
    servers: tuple[int, int] = (0, 0)
    """The major version of PostgreSQL that recorded, and the one that runs now."""
    reason: str = ""
    """Why it is UNREADABLE."""
    truncated: bool = False
    """Whether there are more differences than these."""


@dataclass(frozen=True, slots=True)
class SchemaDrift:
    """A comparison for people: the differences as changes since the last deploy. `message` says why there are none to see."""

    state: SchemaState
    changes: tuple[SchemaChange, ...] = ()
    message: str = ""
    deploy_id: str = ""
    recorded_at: str = ""
    digest: str = ""
    truncated: bool = False

    @property
    def facts(self) -> Mapping[str, object]:
        """What identifies the drift: equal for equal differences."""
        return {str(change.object): [change.before, change.after] for change in self.changes}


@dataclass(frozen=True, slots=True)
class RehearsedChange:
    """What the plan's changes `addresses` did in the rehearsal: usually one migration or seed.

    They are several if they are one transaction, or if there are very many. `notices` are what PostgreSQL reported, such as
    `NOTICE: table "old" does not exist, skipping`.
    """

    addresses: tuple[str, ...]
    changes: tuple[SchemaChange, ...]
    notices: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RowCheck:
    """How many live rows violate a constraint that the migrations add or tighten: `SET NOT NULL on users.email`.

    `rows` is None if that wasn't checked, for `reason`. If there are `more`, they weren't counted. `keys` are the primary keys of
    the first rows. `written`: the migrations also change rows on which this depends, so it only says how the rows are now.
    `address` is the change of the plan that makes the constraint; empty if that isn't known.
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

    @property
    def passes(self) -> bool:
        """Whether no live row violates it."""
        return self.rows == 0

    @property
    def fails(self) -> bool:
        """Whether the migration would fail on the live rows."""
        return bool(self.rows) and not self.written


@dataclass(frozen=True, slots=True, order=True)
class Touched:
    """What a step touches: a `relation` with its columns, constraints, indexes, triggers, policies, rules and grants; all routines
    of a name (`routine`); a `type` or domain. `name` is an SQL name without `public.` and arguments.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class StepTouches:
    """What the step (from 1) of the plan's change `address` touched in the rehearsal, with the mode in which an apply locks it.

    The mode is empty for what isn't locked. It includes what didn't exist before the plan. Of this, the step may change `changes`.
    """

    address: str
    step: int
    touches: Mapping[Touched, str]
    changes: frozenset[Touched] = frozenset()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A plan's migrations, run on a database that the live history makes and that holds no live rows.

    `not_rehearsed` says why that wasn't possible; then `differences` may be how the live schema differs from what the recorded
    files make. `base` and `result` identify the schema before and after. `server` and `live_server` are versions of PostgreSQL.
    `remarks` are differences that may matter. `row_checks` compare new constraints with the live rows.
    """

    done: tuple[RehearsedChange, ...] = ()
    base: str = ""
    result: str = ""
    server: str = ""
    live_server: str = ""
    remarks: tuple[str, ...] = ()
    not_rehearsed: str = ""
    differences: tuple[SchemaChange, ...] = ()
    row_checks: tuple[RowCheck, ...] = ()
    steps: tuple[StepTouches, ...] = ()
    objects: Mapping[Touched, Mapping[SchemaObject, str]] = field(default_factory=dict)
    """Of all that `steps` touch, the objects that exist before the plan, with the digests of their definitions."""

    @property
    def addresses(self) -> frozenset[str]:
        """Of the changes that were rehearsed."""
        return frozenset(address for each in self.done for address in each.addresses)

    def of(self, address: str) -> RehearsedChange | None:
        """The result that ends with this change of the plan; None for one that is reported with a later one."""
        return next((each for each in self.done if each.addresses[-1] == address), None)
