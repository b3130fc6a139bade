"""The constraints that migrations added or tightened on tables that existed before them, each with its query."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mosaic_deploy.sql.hazards.syntax.names import quote_if_needed
from mosaic_deploy.sql.parse import SqlSyntaxError, parse
from mosaic_deploy.sql.row_checks.changed_schema import ChangedSchema
from mosaic_deploy.sql.row_checks.facts import Constraint, ConstraintFacts, Table, UniqueIndex
from mosaic_deploy.sql.row_checks.pending_writes import PendingWrites, called_names
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
from mosaic_deploy.sql.tree import walk

_INDEX_KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE", "": "UNIQUE INDEX"}


@dataclass(frozen=True, slots=True)
class RowCheckQuery:
    """`constraint` is `SET NOT NULL on users.email`. Without a `query`, `reason` says why it isn't checked.

    `object` is the kind, parent and name of the schema object that changes, as in a SchemaObject. `written`: pending
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
    found = _Tightened(ChangedSchema(before, after, writes))
    checks = [*found.not_null(), *found.constraints(), *found.unique(), *found.domains(), *found.types()]
    return tuple(sorted(checks, key=lambda check: check.table))


@dataclass(frozen=True, slots=True)
class _Tightened:
    schema: ChangedSchema

    def not_null(self) -> Iterator[RowCheckQuery]:
        """New NOT NULLs, also of columns that are new and get no value."""
        for table in self.schema.live_tables():
            for number, column in table.after.columns.items():
                old = table.before.columns.get(number)
                if not column.not_null or (old and old.not_null):
                    continue
                if self.schema.is_from_parent(table.after, column):
                    continue
                name = quote_if_needed(column.name)
                scanned = LiveTable(table.before, table.after, column.not_inherited)
                if old:
                    subject = _Subject(
                        f"SET NOT NULL on {_name(table.after)}.{name}", "not_null", name, "column"
                    )
                    yield self._check(subject, scanned, without_value(scanned, number), columns=[number])
                elif not self.schema.is_filled(table.after, column) and not self.schema.is_written(scanned):
                    # A rewrite hides that rows got the value of an earlier default.
                    words = f"ADD COLUMN {_name(table.after)}.{name} NOT NULL without a default"
                    yield self._check(
                        _Subject(words, "new_column", name, "column"), scanned, any_rows(scanned)
                    )

    def constraints(self) -> Iterator[RowCheckQuery]:
        """New or newly validated CHECKs and FOREIGN KEYs, and new exclusion constraints."""
        for constraint in self.schema.after.constraints.values():
            old = self.schema.before.constraints.get(constraint.oid)
            table = self.schema.live_table(constraint.table)
            if not constraint.holds or (old and old.holds) or table is None:
                continue
            if constraint.inherited and (constraint.type == "f" or self.schema.had_parents(table)):
                continue  # found with its parent's
            words = {"c": "CHECK", "f": "FOREIGN KEY", "x": "EXCLUDE"}[constraint.type]
            yield from self._made(words, constraint, table)

    def unique(self) -> Iterator[RowCheckQuery]:
        """New unique indexes, also those of constraints and primary keys."""
        for index in self.schema.after.indexes.values():
            table = self.schema.live_table(index.table)
            if index.oid in self.schema.before.indexes or table is None:
                continue
            if index.inherited and self.schema.had_parents(table):
                continue
            yield from self._made(_INDEX_KINDS[index.type], index, table)

    def domains(self) -> Iterator[RowCheckQuery]:
        """New constraints of domains, for each column of the domain."""
        for domain in self.schema.after.domains.values():
            old = self.schema.before.domains.get(domain.oid)
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
                    yield self._check(subject, table, without_value(table, number), columns=[number])
                for check in new:
                    words = f"CHECK {quote_if_needed(check.name)} of domain {name} on {column}"
                    subject = _Subject(words, "domain", name, "domain")
                    query = failing_domain_check(table, number, domain, check.expression)
                    yield self._check(
                        subject,
                        table,
                        query,
                        columns=[number],
                        functions=check.functions,
                        expressions=[check.expression],
                    )

    def types(self) -> Iterator[RowCheckQuery]:
        """Types that got narrower, unless a statement says how values are converted."""
        for table in self.schema.live_tables():
            for number, column in table.after.columns.items():
                old = table.before.columns.get(number)
                if old is None or old.type == column.type or self.schema.is_read_with_parent(table):
                    continue
                names = {(one.name, two.name) for one in (table.before, table.after) for two in (old, column)}
                if names & self.schema.writes.converted or old.generated or column.generated:
                    continue
                if query := not_convertible(table, number):
                    name = quote_if_needed(column.name)
                    words = f"TYPE {column.type} of {_name(table.after)}.{name}"
                    subject = _Subject(words, "type", name, "column")
                    yield self._check(subject, table, query)

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
            return self._check(
                subject,
                scanned,
                duplicates(scanned, made),
                columns=made.columns,
                functions=made.functions,
                expressions=made.expressions,
            )
        if made.type == "x" or made.period:
            raise _NotChecked(
                "exclusion constraints aren't checked" if made.type == "x" else "it has a PERIOD"
            )
        if made.type == "c":
            scanned = LiveTable(table.before, table.after, made.not_inherited)
            query = failing_check(scanned, made.expression, made.columns)
            return self._check(
                subject,
                scanned,
                query,
                columns=made.columns,
                functions=made.functions,
                expressions=[made.expression],
            )
        other = self.schema.live_table(made.referenced)
        if other is None:
            raise _NotChecked("it references a table that the migrations create")
        if any(number not in other.before.columns for number in made.referenced_columns):
            raise _NotChecked("it references a column that the migrations add")
        self._require_live_columns(other, made.referenced_columns)
        scanned, other = (
            LiveTable(each.before, each.after, only=each.before.kind == "r") for each in (table, other)
        )
        query = without_referenced_row(scanned, other, made)
        written = self.schema.is_written(other, made.referenced_columns)
        return self._check(subject, scanned, query, columns=made.columns, written=written)

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
        columns: Collection[int] = (),
        functions: bool = False,
        expressions: Sequence[str] = (),
        written: bool = False,
    ) -> RowCheckQuery:
        """`columns`: the result depends on the values they have after the migrations before the constraint.

        `functions`: its `expressions` call functions of the database.
        """
        if any(self._is_unsafe(expression) for expression in expressions):
            query, reason = "", "it uses volatile functions"
        if functions and self.schema.before.routines != self.schema.after.routines:
            query, reason = "", "it uses functions, and the migrations change functions"
        if any(self.schema.before.tables[oid].kind == "f" for oid in self.schema.scanned(table)):
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
            or self.schema.is_written(table, columns)
            or (functions and bool(self.schema.writes.tables)),
        )

    def _is_unsafe(self, expression: str) -> bool:
        """Whether it may do more than compute. Volatile functions could send data away, for example."""
        try:
            (statement,) = parse(f"SELECT {expression}")
        except (SqlSyntaxError, ValueError):
            return True
        names = {
            name for kind, node in walk(statement.tree) if kind == "FuncCall" for name in called_names(node)
        }
        return bool(names & self.schema.after.volatile) or any("_to_xml" in name for name in names)

    def _columns_of(self, domain: int) -> Iterator[tuple[LiveTable, int]]:
        for table in self.schema.live_tables():
            for number, column in table.after.columns.items():
                old = table.before.columns.get(number)
                same = old is not None and old.type_oid == column.type_oid == domain
                if same and not self.schema.is_read_with_parent(table):
                    yield table, number


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
