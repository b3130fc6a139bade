"""The constraints that migrations added or tightened on tables that existed before them, each with its query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mosaic_deploy.sql.hazards.syntax.names import quote_if_needed
from mosaic_deploy.sql.row_checks.facts import Column, Constraint, ConstraintFacts, Table, UniqueIndex
from mosaic_deploy.sql.row_checks.pending_writes import PendingWrites
from mosaic_deploy.sql.row_checks.violations import (
    LiveTable,
    any_rows,
    duplicates,
    failing_check,
    failing_domain_check,
    not_convertible,
    without_referenced_row,
    without_value,
)

_WITH_ROWS = frozenset("rpm")
_INDEX_KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE", "": "UNIQUE INDEX"}


@dataclass(frozen=True, slots=True)
class RowCheckQuery:
    """`constraint` is `SET NOT NULL on users.email`. Without a `query`, `reason` says why it isn't checked.

    `objects` are the kind, parent and name of the schema objects whose change it is, as in a SchemaObject. `written`: pending
    statements may change rows on which the result depends.
    """

    constraint: str
    kind: str
    table: str
    object: tuple[str, str, str]
    query: str = ""
    reason: str = ""
    written: bool = False


class _NotChecked(Exception):
    """Says why a constraint isn't checked; without a text there is nothing to check."""


class _Subject(NamedTuple):
    """What a check is about: a constraint's kind in SQL, its name, and the kind of its schema object."""

    words: str
    kind: str
    name: str
    object_kind: str


def tightened(
    before: ConstraintFacts, after: ConstraintFacts, writes: PendingWrites
) -> tuple[RowCheckQuery, ...]:
    """The checks, in the order of tables and names. `writes` are those of all pending statements."""
    found = _Tightened(before, after, writes)
    checks = [*found.not_null(), *found.constraints(), *found.unique(), *found.domains(), *found.types()]
    return tuple(sorted(checks, key=lambda check: check.table))


@dataclass(frozen=True, slots=True)
class _Tightened:
    before: ConstraintFacts
    after: ConstraintFacts
    writes: PendingWrites

    def not_null(self) -> Iterator[RowCheckQuery]:
        """New NOT NULLs, also of columns that are new and get no value."""
        for table in self._tables():
            for number, column in table.after.columns.items():
                old = table.before.columns.get(number)
                if not column.not_null or (old and old.not_null) or self._from_parent(table.after, column):
                    continue
                name = quote_if_needed(column.name)
                scanned = LiveTable(table.before, table.after, column.not_inherited)
                if old:
                    subject = _Subject(
                        f"SET NOT NULL on {_name(table.after)}.{name}", "not_null", name, "column"
                    )
                    yield self._check(subject, scanned, without_value(scanned, number))
                elif not self._is_filled(table.after, column) and not self._is_written(scanned):
                    words = f"ADD COLUMN {_name(table.after)}.{name} NOT NULL without a default"
                    yield self._check(
                        _Subject(words, "new_column", name, "column"), scanned, any_rows(scanned)
                    )

    def constraints(self) -> Iterator[RowCheckQuery]:
        """New or newly validated CHECKs and FOREIGN KEYs, and new exclusion constraints."""
        for constraint in self.after.constraints.values():
            old, table = self.before.constraints.get(constraint.oid), self._table(constraint.table)
            if not constraint.holds or (old and old.holds) or table is None:
                continue
            if constraint.inherited and (constraint.type == "f" or self._had_parents(table)):
                continue  # found with its parent's
            words = {"c": "CHECK", "f": "FOREIGN KEY", "x": "EXCLUDE"}[constraint.type]
            yield from self._made(words, constraint, table)

    def unique(self) -> Iterator[RowCheckQuery]:
        """New unique indexes, also those of constraints and primary keys."""
        for index in self.after.indexes.values():
            table = self._table(index.table)
            if index.oid in self.before.indexes or table is None:
                continue
            if index.inherited and self._had_parents(table):
                continue
            yield from self._made(_INDEX_KINDS[index.type], index, table)

    def domains(self) -> Iterator[RowCheckQuery]:
        """New constraints of domains, for each column of the domain."""
        for domain in self.after.domains.values():
            old = self.before.domains.get(domain.oid)
            if old is None:
                continue
            name = quote_if_needed(domain.name)
            held = {check.oid for check in old.checks if check.holds}
            new = [check for check in domain.checks if check.holds and check.oid not in held]
            for table, number in self._columns_of(domain.oid):
                column = f"{_name(table.after)}.{quote_if_needed(table.after.columns[number].name)}"
                if domain.not_null and not old.not_null:
                    words = f"NOT NULL of domain {name} on {column}"
                    subject = _Subject(words, "domain", name, "domain")
                    yield self._check(subject, table, without_value(table, number))
                for check in new:
                    words = f"CHECK {quote_if_needed(check.name)} of domain {name} on {column}"
                    subject = _Subject(words, "domain", name, "domain")
                    query = failing_domain_check(table, number, domain, check.expression)
                    yield self._check(subject, table, query, functions=check.functions)

    def types(self) -> Iterator[RowCheckQuery]:
        """Types that got narrower, unless a statement says how values are converted."""
        for table in self._tables():
            for number, column in table.after.columns.items():
                old = table.before.columns.get(number)
                if old is None or old.type == column.type or self._inherits(table):
                    continue
                names = {(one.name, two.name) for one in (table.before, table.after) for two in (old, column)}
                query = not_convertible(table, number)
                if query and not names & self.writes.converted and not (old.generated or column.generated):
                    name = quote_if_needed(column.name)
                    words = f"TYPE {column.type} of {_name(table.after)}.{name}"
                    subject = _Subject(words, "type", name, "column")
                    yield self._check(subject, table, query, rewritten=False)

    def _made(self, words: str, made: Constraint | UniqueIndex, table: LiveTable) -> Iterator[RowCheckQuery]:
        """The check of a constraint or index; none if it is about new columns."""
        name = quote_if_needed(made.name)
        is_index = isinstance(made, UniqueIndex) and not made.type
        subject = _Subject(
            f"{words} {name} on {_name(table.after)}",
            words.lower().replace(" ", "_"),
            name,
            "index" if is_index else "constraint",
        )
        try:
            yield self._constraint_check(subject, made, table)
        except _NotChecked as why:
            if str(why):
                yield self._check(subject, table, reason=str(why))

    def _constraint_check(
        self, subject: _Subject, made: Constraint | UniqueIndex, table: LiveTable
    ) -> RowCheckQuery:
        """Raises _NotChecked."""
        self._require_live_columns(table, made.columns)
        if isinstance(made, UniqueIndex):
            if why := _why_not_checked(made):
                raise _NotChecked(why)
            scanned = LiveTable(table.before, table.after, only=table.before.kind == "r")
            return self._check(subject, scanned, duplicates(scanned, made), functions=made.functions)
        if made.type == "x" or made.period:
            raise _NotChecked(
                "exclusion constraints aren't checked" if made.type == "x" else "it has a PERIOD"
            )
        if made.type == "c":
            scanned = LiveTable(table.before, table.after, made.not_inherited)
            query = failing_check(scanned, made.expression, made.columns)
            return self._check(subject, scanned, query, functions=made.functions)
        other = self._table(made.referenced)
        if other is None:
            raise _NotChecked("it references a table that the migrations create")
        if any(number not in other.before.columns for number in made.referenced_columns):
            raise _NotChecked("it references a column that the migrations add")
        self._require_live_columns(other, made.referenced_columns)
        scanned, other = (
            LiveTable(each.before, each.after, only=each.before.kind == "r") for each in (table, other)
        )
        query = without_referenced_row(scanned, other, made)
        return self._check(subject, scanned, query, written=self._is_written(other))

    def _require_live_columns(self, table: LiveTable, columns: tuple[int, ...]) -> None:
        for number in columns:
            if number <= 0:
                raise _NotChecked("it uses whole rows or system columns")
            new, old = table.after.columns[number], table.before.columns.get(number)
            if old is None:
                raise _NotChecked
            if (old.type, old.generated) != (new.type, new.generated):
                raise _NotChecked(f"the migrations change {_name(table.after)}.{quote_if_needed(new.name)}")

    def _check(
        self,
        subject: _Subject,
        table: LiveTable,
        query: str = "",
        *,
        reason: str = "",
        functions: bool = False,
        written: bool = False,
        rewritten: bool = True,
    ) -> RowCheckQuery:
        """`functions`: it calls functions of the database. `rewritten`: a rewrite of the table may change its values."""
        if functions and self.before.routines != self.after.routines:
            query, reason = "", "it uses functions, and the migrations change functions"
        if any(self.before.tables[oid].kind == "f" for oid in self._scanned(table)):
            query, reason = "", "foreign tables aren't checked"
        name = _name(table.after)
        domain = subject.object_kind == "domain"
        return RowCheckQuery(
            subject.words,
            subject.kind,
            name,
            (subject.object_kind, "" if domain else name, subject.name),
            query,
            reason,
            written
            or self._is_written(table, rewritten=rewritten)
            or (functions and bool(self.writes.tables)),
        )

    def _tables(self) -> Iterator[LiveTable]:
        return (found for oid in self.after.tables if (found := self._table(oid)))

    def _table(self, oid: int) -> LiveTable | None:
        """A table that existed before and still does."""
        before, after = self.before.tables.get(oid), self.after.tables.get(oid)
        if before is None or after is None or before.kind not in _WITH_ROWS:
            return None
        return LiveTable(before, after)

    def _columns_of(self, domain: int) -> Iterator[tuple[LiveTable, int]]:
        for table in self._tables():
            for number, column in table.after.columns.items():
                old = table.before.columns.get(number)
                if old and old.type_oid == column.type_oid == domain and not self._inherits(table):
                    yield table, number

    def _had_parents(self, table: LiveTable) -> bool:
        return table.before.parents == table.after.parents

    def _inherits(self, table: LiveTable) -> bool:
        """Whether it is read with a parent's rows."""
        return bool(table.before.parents) and self._had_parents(table)

    def _from_parent(self, table: Table, column: Column) -> bool:
        """Whether the NOT NULL of a column is found with that of a parent."""
        live = self._table(table.oid)
        return bool(live and self._inherits(live)) and any(
            each.name == column.name and each.not_null and not each.not_inherited
            for parent in table.parents
            if parent in self.after.tables
            for each in self.after.tables[parent].columns.values()
        )

    def _is_filled(self, table: Table, column: Column) -> bool:
        """Whether existing rows get a value of a new column."""
        same = (
            each
            for oid in self.after.descendants(table.oid)
            for each in self.after.tables[oid].columns.values()
            if each.name == column.name
        )
        return bool(column.generated) or any(each.filled for each in same)

    def _scanned(self, table: LiveTable) -> frozenset[int]:
        return frozenset([table.before.oid]) if table.only else self.before.descendants(table.before.oid)

    def _is_written(self, table: LiveTable, *, rewritten: bool = True) -> bool:
        """Whether pending statements may change its rows, or which tables hold them. Writes to a parent count."""
        if self.writes.anything or self.before.event_triggers or self.after.event_triggers:
            return True
        oids = self._scanned(table)
        for oid in (*oids, *self._ancestors(table.before.oid)):
            before, after = self.before.tables[oid], self.after.tables.get(oid)
            if (
                after is None
                or before.parents != after.parents
                or {before.name, after.name} & self.writes.tables
            ):
                return True
            if rewritten and oid in oids and before.file != after.file:
                return True
        return False

    def _ancestors(self, oid: int) -> Iterator[int]:
        for parent in self.before.tables[oid].parents:
            if parent in self.before.tables:
                yield parent
                yield from self._ancestors(parent)


def _why_not_checked(index: UniqueIndex) -> str:
    if index.exclusion:
        return "exclusion constraints aren't checked"
    if index.uses_rows:
        return "it uses whole rows"
    return "" if all(key.usual for key in index.keys) else "its operator class isn't the usual one"


def _name(table: Table) -> str:
    """As in a SchemaObject."""
    name = quote_if_needed(table.name)
    return name if table.schema == "public" else f"{quote_if_needed(table.schema)}.{name}"
