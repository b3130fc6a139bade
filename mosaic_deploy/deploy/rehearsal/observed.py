"""What the statements of a rehearsal locked, scanned and rewrote of what is live, from what their transactions reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.errors import Location
from mosaic_deploy.live.database.relations import Relations
from mosaic_deploy.model.catalog import SchemaObject, TableLock
from mosaic_deploy.source.migrations.files import ParsedFile, statement_location
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.guard.documented_locks import documented_locks
from mosaic_deploy.sql.guard.locks import LOCK_MODES, ROW_KINDS, HeldLock, LocksHeld
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.state import SEARCH_PATH

_SCANS = frozenset(
    {
        "AlterTableStmt",
        "AlterDomainStmt",
        "CreateStmt",
        "IndexStmt",
        "ReindexStmt",
        "ClusterStmt",
        "VacuumStmt",
    }
)
"""Statements that read whole tables by themselves. How a query reads them depends on how many rows they hold."""
_BLOCKS = frozenset({*ROW_KINDS, "DoStmt", "CallStmt", "SelectStmt", "ExecuteStmt"})
"""Statements that may run others."""
_LONG = _BLOCKS - {"InsertStmt", "CopyStmt"}
_EMPTIES = "TruncateStmt"
_DEFAULT_SCHEMAS = ("public",)

Tables = frozenset[SchemaObject]


@dataclass(frozen=True, slots=True)
class WatchedStatement:
    """A statement, and what was seen after it.

    `held` are the ranks of the locks of its transaction, by live table; `taken` those that are new or stronger than before it.
    It is None for what is done at the end of the step, such as deferred checks. `seconds` are from its begin to the
    transaction's end.
    """

    address: str
    location: Location | None
    statement: Statement | None
    held: Mapping[SchemaObject, int]
    taken: Mapping[SchemaObject, int]
    rewritten: Tables
    scanned: Tables
    seconds: float | None
    seen: bool = True
    outlasted: bool = False

    @property
    def in_block(self) -> bool:
        return self.statement is not None and self.statement.kind in _BLOCKS

    @property
    def locks(self) -> Iterator[TableLock]:
        for table in dict.fromkeys((*self.taken, *sorted(self.rewritten | self.scanned))):
            rank = max(self.held.get(table, 0), self.taken.get(table, 0))
            if rank:
                yield TableLock(
                    table,
                    LOCK_MODES[rank - 1],
                    self.address,
                    self.location.line if self.location else None,
                    rewritten=table in self.rewritten,
                    scanned=table in self.scanned,
                    held=self.seconds,
                    seen=self.seen,
                    in_block=self.in_block,
                    outlasted=self.outlasted,
                )


@dataclass
class LockWatch:
    """Follows the steps of a rehearsal. `relations` are those from before it."""

    relations: Relations
    statements: list[WatchedStatement] = field(default_factory=list)
    _files: dict[str, str | None] = field(default_factory=dict, init=False)
    """By OID, the current file of what was rewritten; None if a statement outside a transaction may have rewritten it."""
    _names: dict[tuple[str, int], Relations] = field(default_factory=dict, init=False)
    """The relations as they were before a step outside a transaction, by its version and number."""
    _latest: Relations | None = field(default=None, init=False)

    def note_names(self, waiting: Sequence[Step], read: Callable[[], Relations]) -> None:
        """To be called before the first of the `waiting` steps runs: earlier ones may have renamed what it names.

        Statements whose locks are documented, one after another, rename nothing.
        """
        outside = waiting and waiting[0].sql.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
        if not outside or documented_locks(waiting[0].sql.statements[0]) is None:
            self._latest = None
            return
        self._latest = self._latest or read()
        self._names[waiting[0].version, waiting[0].number] = self._latest

    def read(
        self,
        steps: Sequence[tuple[str, ParsedFile, Step]],
        reports: Mapping[tuple[str, int], Sequence[LocksHeld]],
        *,
        together: bool,
    ) -> tuple[tuple[TableLock, ...], tuple[str, ...]]:
        """The locks of committed steps, each with its address and file, and the statements whose locks aren't known.

        `together`: they were one transaction.
        """
        ends = [seen[-1].ended for *_, step in steps if (seen := reports.get((step.version, step.number)))]
        found: list[WatchedStatement] = []
        unseen: list[str] = []
        for place, (address, parsed, step) in enumerate(steps):
            if step.sql.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
                if known := self._documented(address, parsed, step):
                    found.append(known)
                else:
                    unseen.append(_place(parsed, step))
                    self._files = dict.fromkeys(self.relations.found)
                continue
            seen = reports.get((step.version, step.number), ())
            if step.sql.statements and not (seen and seen[0].statement == 0 and seen[-1].last):
                unseen.append(_place(parsed, step))
                continue
            end = max(ends, default=0.0) if together else None
            later = together and any(_last_long(each) for *_, each in steps[place + 1 :])
            last_long = len(step.sql.statements) + 1 if later else _last_long(step)
            found += self._differences(address, parsed, step, seen, end=end, last_long=last_long)
        self.statements += found
        return tuple(lock for each in found for lock in each.locks), tuple(unseen)

    def _differences(
        self,
        address: str,
        parsed: ParsedFile,
        step: Step,
        seen: Sequence[LocksHeld],
        *,
        end: float | None,
        last_long: int,
    ) -> Iterator[WatchedStatement]:
        before: dict[str, HeldLock] = dict(seen[0].locks) if seen else {}
        for number, report in _with_unchanged(step, seen):
            statement = step.sql.statements[number - 1] if number else None
            held, earlier = self._by_table(report.locks), self._by_table(before)
            kind = statement.kind if statement else ""
            replaced = self._replaced(report.locks)
            yield WatchedStatement(
                address,
                statement_location(parsed.file, statement) if statement else None,
                statement,
                held,
                {table: rank for table, rank in held.items() if rank > earlier.get(table, 0)},
                frozenset() if kind == _EMPTIES else replaced,
                self._scanned(before, report.locks) if kind in _SCANS else frozenset(),
                max(0.0, (end or seen[-1].ended) - report.began),
                outlasted=0 < number < last_long,
            )
            before = {oid: lock._replace(rank=0) for oid, lock in before.items()} | dict(report.locks)

    def _by_table(self, locks: Mapping[str, HeldLock]) -> dict[SchemaObject, int]:
        found: dict[SchemaObject, int] = {}
        for oid, lock in locks.items():
            table = self.relations.table_of(oid)
            if table and lock.rank:
                found[table] = max(lock.rank, found.get(table, 0))
        return found

    def _replaced(self, locks: Mapping[str, HeldLock]) -> Tables:
        """The tables that have another file than before; those of their indexes don't matter."""
        found = set()
        for oid, lock in locks.items():
            relation = self.relations.found.get(oid)
            if relation is None or relation.shown is None or not lock.file:
                continue
            known = self._files.get(oid, relation.file)
            self._files[oid] = lock.file
            if known not in (None, lock.file):
                found.add(relation.shown)
        return frozenset(found)

    def _scanned(self, before: Mapping[str, HeldLock], after: Mapping[str, HeldLock]) -> Tables:
        found = {
            self.relations.table_of(oid)
            for oid, lock in after.items()
            if lock.scans > (before[oid].scans if oid in before else 0)
        }
        return frozenset(table for table in found if table)

    def _documented(self, address: str, parsed: ParsedFile, step: Step) -> WatchedStatement | None:
        """What PostgreSQL's documentation says of a statement outside a transaction; None if that can't be said."""
        statement = step.sql.statements[0]
        known = documented_locks(statement)
        path = step.sql.session.of(SEARCH_PATH)
        if known is None or (path and path.computed):
            return None
        schemas = (path.values if path else None) or _DEFAULT_SCHEMAS
        names = self._names.get((step.version, step.number), self.relations)
        taken: dict[SchemaObject, int] = {}
        for lock in known:
            oid = names.named(lock.name, [lock.schema] if lock.schema else schemas)
            if oid is None and not statement.node.get("missing_ok"):
                return None
            # A table that is live, also under another name, or the one of an index that is new.
            oid = names.owner_of(oid) if oid else ""
            if table := self.relations.table_of(oid):
                taken[table] = LOCK_MODES.index(lock.mode) + 1
                if lock.rewrites:
                    self._files[oid] = None
        rewritten = frozenset(taken) if any(lock.rewrites for lock in known) else frozenset()
        place = statement_location(parsed.file, statement)
        return WatchedStatement(
            address, place, statement, {}, taken, rewritten, frozenset(), None, seen=False
        )


def _last_long(step: Step) -> int:
    """The number of the last statement that takes the longer the more rows there are; 0 without one."""
    numbered = enumerate(step.sql.statements, 1)
    return max((number for number, one in numbered if one.kind in _LONG), default=0)


def _with_unchanged(step: Step, seen: Sequence[LocksHeld]) -> Iterator[tuple[int, LocksHeld]]:
    """The reports by the statement's number, 0 for the end of the step; one without a report has changed nothing."""
    if not seen:
        return
    reported = {report.statement: report for report in seen if not report.last}
    current = reported[0]
    for number, statement in enumerate(step.sql.statements, 1):
        if number in reported:
            current = reported[number]
            yield number, current
        elif statement.kind not in ROW_KINDS:
            yield number, current
    yield 0, seen[-1]


def _place(parsed: ParsedFile, step: Step) -> str:
    """`sql/2_x.sql:3`, the line of its first statement."""
    location = statement_location(parsed.file, step.sql.statements[0])
    return f"{parsed.file.relative_path}:{location.line}"
