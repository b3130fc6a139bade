"""A migration file split into steps: what commits at once.

Most files are one step. A statement that PostgreSQL refuses inside a transaction is its own step, and so is a file's
BEGIN … COMMIT block. Each step starts with the settings that the file's earlier steps leave in psql's session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from mosaic_deploy.sql.execution.enum_values import EnumValues
from mosaic_deploy.sql.execution.transactions import (
    WRAPPED_KINDS,
    may_outlive_rollback,
    not_executable_reason,
    outside_transaction_reason,
)
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.state import NEW_SESSION, TIME_LIMITS, SessionState, TransactionState


class ExecutionMode(StrEnum):
    """How a step is sent through the API."""

    BATCH = "batch"
    """EXECUTEd inside a DO block, together with other steps."""
    PLAIN = "plain"
    """One call `BEGIN; …; COMMIT`, because EXECUTE doesn't accept one of its statements."""
    OUTSIDE_TRANSACTION = "solo"
    """One statement, outside a transaction."""


@dataclass(frozen=True, slots=True)
class ControlRemark:
    """Transaction control without effect, or with another than it looks. `offset` is in characters from 0."""

    message: str
    offset: int


@dataclass(frozen=True, slots=True)
class StepSql:
    statements: tuple[Statement, ...]
    execution_mode: ExecutionMode
    reason: str = ""
    """Why the step is separate or PLAIN, for the plan; "" for an ordinary step."""
    unclosed: bool = False
    """The file's BEGIN has no COMMIT. The end of the file commits; psql would roll back."""
    session: SessionState = NEW_SESSION
    """The settings that the step starts with."""
    explicit: bool = False
    """Whether it is a BEGIN … COMMIT block of the file."""
    remarks: tuple[ControlRemark, ...] = ()
    """What its transaction control does that its author may not expect."""
    has_time_limit: bool = False
    """Whether the file sets a time limit that PostgreSQL applies to each statement that it is sent."""


EMPTY_STEP = StepSql((), ExecutionMode.BATCH)
"""Runs nothing. Its row in the ledger records that there is nothing (more) to run."""


class TransactionControlError(Exception):
    """Transaction control that a migration can't have. `offset` is in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


_BEGIN_KINDS = frozenset({"TRANS_STMT_BEGIN", "TRANS_STMT_START"})
_END_KINDS = {"TRANS_STMT_COMMIT": "COMMIT", "TRANS_STMT_ROLLBACK": "ROLLBACK"}
_SAVEPOINT_KINDS = frozenset({"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"})
_OUTLIVES_ROLLBACK = (
    "BEGIN … ROLLBACK isn't run, but this statement may leave what ROLLBACK doesn't undo, such as the numbers that it draws "
    "from a sequence; remove the block, or write COMMIT"
)
_COMMITTED = "its first part was applied before the file was edited"


def split_steps(statements: list[Statement], *, each_alone: str = "", committed: int = 0) -> list[StepSql]:
    """The steps of a file, in order. `each_alone`, what the file says so with, makes every statement outside BEGIN …
    COMMIT its own step, and is the reason of these.
    A step ends after the first `committed` statements, unless that is between BEGIN and COMMIT.

    A COMMIT or ROLLBACK without BEGIN ends a step; a block that is rolled back is in none, and a file with nothing else is
    one empty step. An unclosed BEGIN is committed at the end of the file. Raises TransactionControlError for what can't
    be done so.
    """
    return _Splitter(each_alone=each_alone, committed=committed).split(statements)


class _Splitter:
    def __init__(self, *, each_alone: str, committed: int) -> None:
        self.each_alone = each_alone
        self.left_of_committed = committed
        """Statements that aren't in a closed step yet, of those that an earlier run committed."""
        self.steps: list[StepSql] = []
        self.session = NEW_SESSION
        """The session after the closed steps."""
        self.remarks: list[ControlRemark] = []
        """Those for the next step that is closed."""
        self.open_statements: list[Statement] = []
        self.open_begin: Statement | None = None
        self.values_of_existing_enums = EnumValues()
        """Those that the open step adds to types that existed before it."""
        self.values_of_new_enums = EnumValues()
        """Those that it adds to types it creates itself."""
        self.plain_reason = ""
        self.routines: list[str] = []
        """The texts of the functions and procedures that the file creates."""

    def split(self, statements: list[Statement]) -> list[StepSql]:
        for statement in statements:
            self._add(statement)
            if self.open_begin is None and len(self.open_statements) == self.left_of_committed:
                self._close_step(_COMMITTED)
        unclosed = self.open_begin is not None and bool(self.open_statements)
        self._close_step()
        if unclosed:
            self.steps[-1] = replace(self.steps[-1], unclosed=True)
        if self.remarks:
            last = self.steps.pop() if self.steps else EMPTY_STEP
            self.steps.append(replace(last, remarks=(*last.remarks, *self.remarks)))
        return self.steps

    def _add(self, statement: Statement) -> None:
        if statement.kind == "TransactionStmt":
            self._add_transaction_control(statement)
        elif reason := outside_transaction_reason(statement):
            if self.open_begin:
                raise TransactionControlError(
                    f"{reason}, but it is between BEGIN and COMMIT", statement.offset
                )
            self._close_step()
            reason = self.each_alone or reason
            self._append(StepSql((statement,), ExecutionMode.OUTSIDE_TRANSACTION, reason))
        else:
            self._add_to_open_step(statement)
            if self.each_alone and not self.open_begin:
                self._close_step(self.each_alone)

    def _add_to_open_step(self, statement: Statement) -> None:
        if not self.open_begin and self.values_of_existing_enums.may_be_used(statement, self.routines):
            self._close_step("an enum value is added and then used, which needs a commit in between")
        if self.values_of_new_enums.may_be_used(statement, self.routines):
            # PostgreSQL allows this in the transaction that creates the type, but not in a subtransaction, which
            # the batch's error handling creates.
            self.plain_reason = "a value is added to a new enum and then used"
        self.open_statements.append(statement)
        if statement.kind == "CreateFunctionStmt":
            self.routines.append(statement.text)
        if statement.kind == "AlterEnumStmt" and statement.node.get("newVal"):
            values = (
                self.values_of_new_enums if self._creates_enum(statement) else self.values_of_existing_enums
            )
            values.add(statement)

    def _creates_enum(self, statement: Statement) -> bool:
        name = statement.node.get("typeName")
        return any(
            s.kind == "CreateEnumStmt" and s.node.get("typeName") == name for s in self.open_statements
        )

    def _add_transaction_control(self, statement: Statement) -> None:
        kind = str(statement.node.get("kind"))
        if kind in _BEGIN_KINDS:
            self._begin(statement)
        elif kind in _END_KINDS and not statement.node.get("chain"):
            self._end(statement, _END_KINDS[kind])
        elif kind in _SAVEPOINT_KINDS:
            if self.open_begin or not self.each_alone:
                self.open_statements.append(statement)
        else:
            raise TransactionControlError(_refusal(kind), statement.offset)

    def _begin(self, statement: Statement) -> None:
        if self.open_begin is None:
            self._close_step()
            self.open_begin = statement
            if statement.node.get("options"):
                self.open_statements.append(_as_set_transaction(statement))
        elif statement.node.get("options"):
            raise TransactionControlError(
                "BEGIN with a transaction mode inside an open transaction; write COMMIT before it",
                statement.offset,
            )
        else:
            self._remark("BEGIN inside an open transaction has no effect", statement)

    def _end(self, statement: Statement, word: str) -> None:
        """COMMIT or ROLLBACK, also without BEGIN: then PostgreSQL has committed what is before it, and only warns."""
        if self.open_begin is None:
            self._remark(
                f"{word} without BEGIN only ends the step there; what is before it is committed", statement
            )
            self._close_step()
        elif word == "COMMIT":
            self._close_step()
        else:
            for undone in filter(may_outlive_rollback, self.open_statements):
                raise TransactionControlError(_OUTLIVES_ROLLBACK, undone.offset)
            self._remark("ROLLBACK undoes everything since BEGIN, so none of it is run", statement)
            self._forget_open_step()
        self.open_begin = None

    def _remark(self, message: str, statement: Statement) -> None:
        self.remarks.append(ControlRemark(message, statement.offset))

    def _close_step(self, reason: str = "") -> None:
        if self.open_statements:
            step = _transactional_step(tuple(self.open_statements))
            mode = ExecutionMode.PLAIN if self.plain_reason else step.execution_mode
            # Each statement alone is so for that reason, even if it is also one that EXECUTE doesn't accept.
            why = (
                reason if reason and reason == self.each_alone else step.reason or self.plain_reason or reason
            )
            explicit = self.open_begin is not None
            self._append(replace(step, execution_mode=mode, reason=why, explicit=explicit))
        self._forget_open_step()

    def _append(self, step: StepSql) -> None:
        if step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
            self._remark_lost_limits(step.statements[0])
        inside = TransactionState.begun_in(self.session)
        limited = self.session.has_time_limit
        for statement in step.statements:
            inside = inside.after(statement)
            limited = limited or inside.current.has_time_limit
        found = replace(step, session=self.session, remarks=tuple(self.remarks), has_time_limit=limited)
        self.steps.append(found)
        self.left_of_committed -= len(step.statements)
        self.remarks = []
        self.session = inside.kept

    def _remark_lost_limits(self, statement: Statement) -> None:
        """The session's time limits that a statement outside a transaction runs without."""
        wrapped = statement.kind in WRAPPED_KINDS
        names = ("statement_timeout",) if wrapped else ("lock_timeout", *sorted(TIME_LIMITS))
        why = (
            "PostgreSQL measures it from the request that sets it"
            if wrapped
            else "the statement can only be sent alone"
        )
        if limits := [name for name in names if self.session.of(name)]:
            self._remark(f"runs without the file's {' and '.join(limits)}: {why}", statement)

    def _forget_open_step(self) -> None:
        self.open_statements = []
        self.values_of_existing_enums, self.values_of_new_enums = EnumValues(), EnumValues()
        self.plain_reason = ""


def _as_set_transaction(begin: Statement) -> Statement:
    """`BEGIN ISOLATION LEVEL …` as the equivalent SET TRANSACTION, to go after our own BEGIN."""
    modes = re.sub(r"^(begin|start)(\s+(work|transaction))?\s+", "", begin.text, flags=re.IGNORECASE)
    return Statement(
        f"SET TRANSACTION {modes}",
        begin.offset,
        {
            "VariableSetStmt": {
                "name": "TRANSACTION",
                "kind": "VAR_SET_MULTI",
                "args": begin.node.get("options", []),
            }
        },
    )


def _refusal(kind: str) -> str:
    if kind in _END_KINDS:
        return (
            f"{_END_KINDS[kind]} AND CHAIN isn't supported in migrations; write {_END_KINDS[kind]} and BEGIN"
        )
    return "two-phase transactions aren't supported in migrations"


def _transactional_step(statements: tuple[Statement, ...]) -> StepSql:
    for statement in statements:
        if reason := not_executable_reason(statement):
            return StepSql(statements, ExecutionMode.PLAIN, reason)
    return StepSql(statements, ExecutionMode.BATCH)
