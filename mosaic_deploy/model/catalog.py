"""Objects of a database schema, as read from PostgreSQL's catalogs, their differences, drift, and what a rehearsal changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mosaic_deploy.model.effects import StepTouches, TableWrite, Touched
from mosaic_deploy.model.hazard import Hazard, RowCheck
from mosaic_deploy.model.quantities import amount_text, size_text


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
_ATTRIBUTES = (*_PRIVILEGES, "comment")
"""Kinds that are no objects of their own."""
_WITH_BODIES = (
    "view",
    "materialized view",
    "function",
    "procedure",
    "aggregate",
    "trigger",
    "rule",
    "event trigger",
)
"""Kinds whose definition, if it has several lines, is too long for a line of a plan."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A changed object. `before` is None if it was added, `after` is None if it was dropped. `new_name`: it was renamed."""

    object: SchemaObject
    before: str | None
    after: str | None
    new_name: str = ""

    @property
    def action(self) -> str:
        if self.before is None:
            return "add"
        return "drop" if self.after is None else "change"

    @property
    def has_body(self) -> bool:
        """Whether a definition is one of several lines, such as a function's body."""
        return self.object.kind in _WITH_BODIES and "\n" in f"{self.before or ''}{self.after or ''}"

    @property
    def counts_as(self) -> str:
        """The action on an object of the database: a new grant or comment changes what it is about."""
        return "change" if self.object.kind in _ATTRIBUTES else self.action

    @property
    def definition(self) -> str:
        """`integer → bigint`, or the new definition, on one line; nothing for one with a body.

        Of what was dropped, only privileges. Of what was renamed, the new name.
        """
        if self.new_name:
            return f"renamed to {self.new_name}"
        if self.has_body:
            return ""
        before, after = (
            None if text is None else " ".join(text.splitlines()) for text in (self.before, self.after)
        )
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
    DAMAGED = "damaged"
    """The record isn't one that a deploy has written, so it counts as none."""
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
    """Why it is UNREADABLE or DAMAGED."""
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
class TableLock:
    """A lock on a live table, its indexes included, that a statement took in a rehearsal, or under which it worked on the table.

    `mode` is the strongest that its transaction had then, such as `ACCESS EXCLUSIVE`; `address` is the statement's change of the
    plan, `line` its line there. `scanned`: all rows were read. `held` is how many seconds later the transaction ended; None if
    that isn't known. Without `seen`, it is what PostgreSQL's documentation says. `in_block`: the statement may run others, so
    what is `rewritten` may have been emptied, and what they read isn't known. `outlasted`: later statements of its transaction
    change rows or run others, which takes the longer the more rows there are.
    """

    table: SchemaObject
    mode: str
    address: str
    line: int | None = None
    rewritten: bool = False
    scanned: bool = False
    held: float | None = None
    seen: bool = True
    in_block: bool = False
    outlasted: bool = False

    @property
    def blocks(self) -> str:
        """What others can't do with the table meanwhile: `reads and writes`, `writes`, or nothing that applications do."""
        return BLOCKED.get(self.mode, "")


BLOCKED = {
    "ACCESS EXCLUSIVE": "reads and writes",
    "EXCLUSIVE": "writes",
    "SHARE ROW EXCLUSIVE": "writes",
    "SHARE": "writes",
}


@dataclass(frozen=True, slots=True)
class LiveSize:
    """How large a live object is: PostgreSQL's estimates of its rows and its bytes with indexes; None if there are none.

    Of a column, `rows` are those with a value. `empty`: surely no rows.
    """

    object: SchemaObject
    rows: int | None = None
    bytes: int | None = None
    empty: bool = False

    @property
    def text(self) -> str:
        """`≈200.6 k rows, 31.0 MB`; `≈205 k values` of a column; "" if nothing is known."""
        noun = "value" if self.object.kind == "column" else "row"
        rows = "" if self.rows is None else amount_text(self.rows, noun)
        parts = ("no rows" if self.empty else rows, "" if self.bytes is None else size_text(self.bytes))
        return ", ".join(part for part in parts if part)


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
    locks: tuple[TableLock, ...] = ()
    """On live tables, in the order of the statements."""
    unseen: tuple[str, ...] = ()
    """`2_x.sql:3`: statements that run outside a transaction, and whose locks aren't known."""
    writes: tuple[TableWrite, ...] = ()
    unfired: tuple[str, ...] = ()
    """`orders (count_orders)`: row triggers that didn't fire for lack of rows, and may write to other tables."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A plan's migrations, run on a database that the live history makes and that holds no live rows.

    `not_rehearsed` says why that wasn't possible; then `differences` may be how the live schema differs from what the recorded
    files make. `base` and `result` identify the schema before and after. `server` and `live_server` are versions of PostgreSQL.
    `remarks` are differences that may matter. `row_checks` compare new constraints with the live rows.
    `added`, `changed` and `destroyed` are the objects that differ between the two schemas, `sizes` those of live objects that
    are locked or destroyed. `unmade_checks` counts the migrations' own checks of data.
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
    added: int = 0
    changed: int = 0
    destroyed: tuple[SchemaObject, ...] = ()
    sizes: tuple[LiveSize, ...] = ()
    refuted: tuple[Hazard, ...] = ()
    """Findings of the lint rules that the rehearsal contradicts."""
    found: tuple[Hazard, ...] = ()
    """What it saw, and no rule has reported."""
    unmade_checks: int = 0
    steps: tuple[StepTouches, ...] = ()
    objects: Mapping[Touched, Mapping[SchemaObject, str]] = field(default_factory=dict)
    """Of all that `steps` touch, the objects that exist before the plan, with the digests of their definitions."""

    def size_of(self, item: SchemaObject) -> LiveSize | None:
        return next((size for size in self.sizes if size.object == item), None)

    @property
    def addresses(self) -> frozenset[str]:
        """Of the changes that were rehearsed."""
        return frozenset(address for each in self.done for address in each.addresses)

    @property
    def writes(self) -> tuple[TableWrite, ...]:
        """Of all changes."""
        return tuple(write for each in self.done for write in each.writes)

    def of(self, address: str) -> RehearsedChange | None:
        """The result that ends with this change of the plan; None for one that is reported with a later one."""
        return next((each for each in self.done if each.addresses[-1] == address), None)
