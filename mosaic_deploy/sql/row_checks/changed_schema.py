"""A schema before and after migrations: which tables are the same, and which rows the migrations may change."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mosaic_deploy.sql.row_checks.facts import Column, ConstraintFacts, Table
from mosaic_deploy.sql.row_checks.pending_writes import PendingWrites
from mosaic_deploy.sql.row_checks.violations import LiveTable

_WITH_ROWS = frozenset("rpm")


@dataclass(frozen=True, slots=True)
class ChangedSchema:
    """`writes` are those of all pending statements."""

    before: ConstraintFacts
    after: ConstraintFacts
    writes: PendingWrites

    def live_tables(self) -> Iterator[LiveTable]:
        return (found for oid in self.after.tables if (found := self.live_table(oid)))

    def live_table(self, oid: int) -> LiveTable | None:
        """A table that existed before and still does."""
        before, after = self.before.tables.get(oid), self.after.tables.get(oid)
        if before is None or after is None or before.kind not in _WITH_ROWS:
            return None
        return LiveTable(before, after)

    def had_parents(self, table: LiveTable) -> bool:
        return table.before.parents == table.after.parents

    def is_read_with_parent(self, table: LiveTable) -> bool:
        """Whether it is read with a parent's rows."""
        return bool(table.before.parents) and self.had_parents(table)

    def is_from_parent(self, table: Table, column: Column) -> bool:
        """Whether the NOT NULL of a column is found with that of a parent."""
        live = self.live_table(table.oid)
        return bool(live and self.is_read_with_parent(live)) and any(
            each.name == column.name and each.not_null and not each.not_inherited
            for parent in table.parents
            if parent in self.after.tables
            for each in self.after.tables[parent].columns.values()
        )

    def is_filled(self, table: Table, column: Column) -> bool:
        """Whether existing rows get a value of a new column."""
        same = (
            each
            for oid in self.after.descendants(table.oid)
            for each in self.after.tables[oid].columns.values()
            if each.name == column.name
        )
        return bool(column.generated) or any(each.filled for each in same)

    def scanned(self, table: LiveTable) -> frozenset[int]:
        return frozenset([table.before.oid]) if table.only else self.before.descendants(table.before.oid)

    def is_written(self, table: LiveTable, columns: Collection[int] | None = None) -> bool:
        """Whether pending statements may change these columns of its rows, which rows it has, or which tables hold them.

        Writes to a parent count. Without `columns`, anything that writes a new file of the table counts.
        """
        if self.writes.anything or self.before.event_triggers or self.after.event_triggers:
            return True
        oids = self.scanned(table)
        rewritten = columns is None or self.writes.truncates or self._may_be_retyped(table, columns)
        for oid in (*oids, *self._ancestors(table.before.oid)):
            before, after = self.before.tables[oid], self.after.tables.get(oid)
            if after is None or before.parents != after.parents:
                return True
            if {before.name, after.name} & self.writes.tables:
                return True
            if rewritten and oid in oids and before.file != after.file:
                return True
        return False

    def _may_be_retyped(self, table: LiveTable, columns: Collection[int]) -> bool:
        """Whether a new file may hold other values of the columns. Apart from TRUNCATE, only changes of types and of generated
        columns write such files, and they fire no triggers."""
        found = [side.columns[number] for side in (table.before, table.after) for number in columns]
        return any(column.generated or column.name in self.writes.retyped for column in found)

    def _ancestors(self, oid: int) -> Iterator[int]:
        for parent in self.before.tables[oid].parents:
            if parent in self.before.tables:
                yield parent
                yield from self._ancestors(parent)
