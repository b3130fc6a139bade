"""A migration file split into units (called steps in texts for users): what commits at once.

Most files are one unit. A statement that PostgreSQL refuses inside a transaction is its own unit, and so is a file's
BEGIN … COMMIT block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from mosaic_deploy.sql.execution.transactions import not_executable_reason, outside_transaction_reason
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import literal


class ExecutionMode(StrEnum):
    """How a unit is sent through the API."""

    BATCH = "batch"
    """EXECUTEd inside a DO block, together with other units."""
    PLAIN = "plain"
    """One call `BEGIN; …; COMMIT`, because EXECUTE doesn't accept one of its statements."""
    OUTSIDE_TRANSACTION = "solo"
    """One statement, outside a transaction."""


@dataclass(frozen=True, slots=True)
class Unit:
    statements: tuple[Statement, ...]
    execution_mode: ExecutionMode
    reason: str = ""
    """Why the unit is separate or PLAIN, for the plan; "" for an ordinary unit."""
    unclosed: bool = False
    """The file's BEGIN has no COMMIT. The end of the file commits; psql would roll back."""


class TransactionControlError(Exception):
    """Transaction control that a migration can't have. `offset` is in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


_BEGIN_KINDS = frozenset({"TRANS_STMT_BEGIN", "TRANS_STMT_START"})
_COMMIT_KINDS = frozenset({"TRANS_STMT_COMMIT"})
_SAVEPOINT_KINDS = frozenset({"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"})


def split_units(statements: list[Statement], *, transaction: bool = True) -> list[Unit]:
    """The units of a file, in order. `transaction=False` makes every statement its own unit.

    Raises TransactionControlError for COMMIT without BEGIN, a nested BEGIN, and ROLLBACK of the whole transaction. An
    unclosed BEGIN is committed at the end of the file.
    """
    if not transaction:
        return [_single_statement_unit(statement) for statement in _without_control(statements)]
    return _Splitter().split(statements)


def _single_statement_unit(statement: Statement) -> Unit:
    """A unit of one statement, in a transaction if PostgreSQL allows it, so its ledger record is atomic."""
    why = "transaction=false"
    if outside_transaction_reason(statement):
        return Unit((statement,), ExecutionMode.OUTSIDE_TRANSACTION, why)
    return replace(_transactional_unit((statement,)), reason=why)


class _Splitter:
    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.open_statements: list[Statement] = []
        self.open_begin: Statement | None = None
        self.values_of_existing_enums: set[str] = set()
        """Enum values, as literals, that the open unit adds to types that existed before it."""
        self.values_of_new_enums: set[str] = set()
        """Those that it adds to types it creates itself."""
        self.plain_reason = ""

    def split(self, statements: list[Statement]) -> list[Unit]:
        for statement in statements:
            self._add(statement)
        unclosed = self.open_begin is not None and bool(self.open_statements)
        self._close_unit()
        if unclosed:
            self.units[-1] = replace(self.units[-1], unclosed=True)
        return self.units

    def _add(self, statement: Statement) -> None:
        if statement.kind == "TransactionStmt":
            self._add_transaction_control(statement)
        elif reason := outside_transaction_reason(statement):
            if self.open_begin:
                raise TransactionControlError(
                    f"{reason}, but it is between BEGIN and COMMIT", statement.offset
                )
            self._close_unit()
            self.units.append(Unit((statement,), ExecutionMode.OUTSIDE_TRANSACTION, reason))
        else:
            self._add_to_open_unit(statement)

    def _add_to_open_unit(self, statement: Statement) -> None:
        if not self.open_begin and any(value in statement.text for value in self.values_of_existing_enums):
            self._close_unit("an enum value is added and then used, which needs a commit in between")
        if any(value in statement.text for value in self.values_of_new_enums):
            # PostgreSQL allows this in the transaction that creates the type, but not in a subtransaction, which
            # the batch's error handling creates.
            self.plain_reason = "a value is added to a new enum and then used"
        self.open_statements.append(statement)
        if statement.kind == "AlterEnumStmt" and statement.node.get("newVal"):
            values = (
                self.values_of_new_enums if self._creates_enum(statement) else self.values_of_existing_enums
            )
            values.add(literal(str(statement.node["newVal"])))

    def _creates_enum(self, statement: Statement) -> bool:
        name = statement.node.get("typeName")
        return any(
            s.kind == "CreateEnumStmt" and s.node.get("typeName") == name for s in self.open_statements
        )

    def _add_transaction_control(self, statement: Statement) -> None:
        kind = statement.node.get("kind")
        if kind in _BEGIN_KINDS:
            if self.open_begin:
                raise TransactionControlError("BEGIN inside an open transaction", statement.offset)
            self._close_unit()
            self.open_begin = statement
            if statement.node.get("options"):
                self.open_statements.append(_as_set_transaction(statement))
        elif kind in _COMMIT_KINDS and self.open_begin:
            self.open_begin = None
            self._close_unit()
        elif kind in _SAVEPOINT_KINDS:
            self.open_statements.append(statement)
        else:
            raise TransactionControlError(_control_message(kind), statement.offset)

    def _close_unit(self, reason: str = "") -> None:
        if self.open_statements:
            unit = _transactional_unit(tuple(self.open_statements))
            mode = ExecutionMode.PLAIN if self.plain_reason else unit.execution_mode
            self.units.append(
                replace(unit, execution_mode=mode, reason=unit.reason or self.plain_reason or reason)
            )
        self.open_statements = []
        self.values_of_existing_enums, self.values_of_new_enums, self.plain_reason = set(), set(), ""


def _as_set_transaction(begin: Statement) -> Statement:
    """`BEGIN ISOLATION LEVEL …` as the equivalent SET TRANSACTION, to go after our own BEGIN."""
    modes = re.sub(r"^(begin|start)(\s+(work|transaction))?\s+", "", begin.text, flags=re.IGNORECASE)
    return Statement(f"SET TRANSACTION {modes}", begin.offset, {"VariableSetStmt": {"name": "TRANSACTION"}})


def _control_message(kind: object) -> str:
    if kind in _COMMIT_KINDS:
        return "COMMIT without BEGIN"
    if kind == "TRANS_STMT_ROLLBACK":
        return "ROLLBACK isn't allowed: it would undo the migration"
    return "two-phase transactions aren't supported in migrations"


def _transactional_unit(statements: tuple[Statement, ...]) -> Unit:
    for statement in statements:
        if reason := not_executable_reason(statement):
            return Unit(statements, ExecutionMode.PLAIN, reason)
    return Unit(statements, ExecutionMode.BATCH)


def _without_control(statements: list[Statement]) -> list[Statement]:
    return [s for s in statements if s.kind != "TransactionStmt"]
