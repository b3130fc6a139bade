"""A migration file split into units (called steps in texts for users): what commits at once.

Most files are one unit. A statement that PostgreSQL refuses inside a transaction is its own unit, and so is a file's
BEGIN … COMMIT block.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from mosaic_deploy.sql.parse import Statement, Tree
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
_NEVER_IN_TRANSACTION = {
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION",
}
_REINDEX_MANY = {
    "REINDEX_OBJECT_SCHEMA": "REINDEX SCHEMA",
    "REINDEX_OBJECT_SYSTEM": "REINDEX SYSTEM",
    "REINDEX_OBJECT_DATABASE": "REINDEX DATABASE",
}
_DML_KINDS = frozenset({"SelectStmt", "UpdateStmt", "DeleteStmt", "InsertStmt"})
"""Statements that can always run in a transaction. Large files are full of them, so they are not parsed for this."""
_INTO = re.compile(r"(?<![\w$])into(?![\w$])", re.IGNORECASE)
_TRANSACTION_WORD = re.compile(r"\b(commit|rollback)\b", re.IGNORECASE)


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


def outside_transaction_reason(statement: Statement) -> str:
    """Why PostgreSQL refuses the statement inside a transaction block; "" if it doesn't."""
    if statement.kind in _DML_KINDS:
        return ""
    command = _concurrent_command(statement) or _never_in_transaction_command(statement)
    if command:
        return f"{command} can't run in a transaction"
    if statement.kind == "DoStmt" and _do_commits(statement):
        return "a DO block with COMMIT or ROLLBACK can't run in a transaction"
    if statement.kind == "CallStmt":
        return "the called procedure may commit, so CALL can't run in a transaction"
    return ""


def _concurrent_command(statement: Statement) -> str:
    kind, node = statement.kind, statement.node
    if kind == "IndexStmt" and node.get("concurrent"):
        return "CREATE INDEX CONCURRENTLY"
    if kind == "DropStmt" and node.get("concurrent"):
        return "DROP INDEX CONCURRENTLY"
    if kind == "ReindexStmt" and _has_option(node, "concurrently"):
        return "REINDEX CONCURRENTLY"
    if kind == "AlterTableStmt" and _detaches_concurrently(node):
        return "DETACH PARTITION CONCURRENTLY"
    return ""


def _never_in_transaction_command(statement: Statement) -> str:
    """The name of a command that PostgreSQL never runs in a transaction block; "" for others."""
    kind, node = statement.kind, statement.node
    if kind == "VacuumStmt":
        return "VACUUM" if node.get("is_vacuumcmd") else ""  # ANALYZE is a VacuumStmt too
    if kind == "ReindexStmt":
        return _REINDEX_MANY.get(str(node.get("kind")), "")
    if kind == "ClusterStmt":
        return "" if "relation" in node else "CLUSTER of all tables"
    if kind == "DiscardStmt":
        return "DISCARD ALL" if node.get("target") == "DISCARD_ALL" else ""
    return _NEVER_IN_TRANSACTION.get(kind, "")


def _detaches_concurrently(node: Tree) -> bool:
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
    return any(c.get("def", {}).get("PartitionCmd", {}).get("concurrent") for c in commands)


def not_executable_reason(statement: Statement) -> str:
    """Why PL/pgSQL's EXECUTE doesn't accept the statement; "" if it does."""
    if statement.kind in _DML_KINDS and not (statement.kind == "SelectStmt" and _INTO.search(statement.text)):
        return ""
    kind, node = statement.kind, statement.node
    if kind == "SelectStmt" and _selects_into(node):
        return "SELECT INTO can't run inside a DO block"
    if kind == "TransactionStmt":
        return "savepoints can't be used inside a DO block"
    if kind == "VariableSetStmt" and str(node.get("name", "")).upper() in {
        "TRANSACTION",
        "TRANSACTION SNAPSHOT",
        "SESSION CHARACTERISTICS",
    }:
        return "SET TRANSACTION can't run inside a DO block"
    return ""


def _selects_into(node: Tree) -> bool:
    left = node.get("larg")
    return "intoClause" in node or (isinstance(left, dict) and _selects_into(left))


def _has_option(node: Tree, name: str) -> bool:
    return any(item.get("DefElem", {}).get("defname") == name for item in node.get("params", []))


def _do_commits(statement: Statement) -> bool:
    """Whether a DO block may commit or roll back, according to PL/pgSQL's parser."""
    if not _TRANSACTION_WORD.search(_do_body(statement.node)):
        return False
    from mosaic_deploy.sql.libpg_query import ParserError, parse_plpgsql  # loads a C library

    try:
        tree = json.dumps(parse_plpgsql(statement.text))
    except (ParserError, RecursionError):
        return True  # needs names or types that the parser can't look up; assume it does
    if '"PLpgSQL_stmt_block":' not in tree:
        return True  # another language, which isn't parsed
    return '{"PLpgSQL_stmt_commit":' in tree or '{"PLpgSQL_stmt_rollback":' in tree


def _do_body(node: Tree) -> str:
    options = [item.get("DefElem", {}) for item in node.get("args", [])]
    return " ".join(str(option.get("arg", {}).get("String", {}).get("sval", "")) for option in options)
