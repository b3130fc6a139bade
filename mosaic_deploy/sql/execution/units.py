"""A migration file as a list of units; a unit is what can commit at once.

Most files are one unit. A statement that PostgreSQL refuses to run inside a transaction is a unit of its own,
and a file's own BEGIN … COMMIT bounds a unit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import literal


class ExecutionMode(StrEnum):
    """How a unit travels through the API."""

    BATCH = "batch"
    """Its statements are EXECUTEd inside one DO block, with others'."""
    PLAIN = "plain"
    """One call `BEGIN; …; COMMIT`: it holds a statement that EXECUTE can't carry."""
    OUTSIDE_TRANSACTION = "solo"
    """One statement, outside any transaction."""


@dataclass(frozen=True, slots=True)
class Unit:
    statements: tuple[Statement, ...]
    execution_mode: ExecutionMode
    reason: str = ""
    """Why the unit isn't a plain part of one transaction, in words for the plan."""
    unclosed: bool = False
    """The file's BEGIN has no COMMIT: the end of the file commits, where psql would lose the work."""


class TransactionControlError(Exception):
    """A file whose transaction control can't be followed. `offset` is in characters from 0."""

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
"""Statements about rows run in any transaction. A large file is full of them, so their trees aren't asked for."""
_INTO = re.compile(r"(?<![\w$])into(?![\w$])", re.IGNORECASE)
_TRANSACTION_WORD = re.compile(r"\b(commit|rollback)\b", re.IGNORECASE)


def split_units(statements: list[Statement], *, transaction: bool = True) -> list[Unit]:
    """The units of a file, in order. `transaction=False` makes every statement a unit of its own.

    Raises TransactionControlError for a COMMIT without BEGIN, a BEGIN inside another, and ROLLBACK of the whole
    transaction (a migration that undoes itself). A BEGIN that is never closed is committed by the file's end.
    """
    if not transaction:
        return [_single_statement_unit(statement) for statement in _without_control(statements)]
    return _Splitter().split(statements)


def _single_statement_unit(statement: Statement) -> Unit:
    """A unit of one statement; inside a transaction where PostgreSQL allows, so that its record is atomic."""
    why = "the file says transaction=false"
    if outside_transaction_reason(statement):
        return Unit((statement,), ExecutionMode.OUTSIDE_TRANSACTION, why)
    return replace(_transactional_unit((statement,)), reason=why)


class _Splitter:
    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.open_statements: list[Statement] = []
        self.open_begin: Statement | None = None
        self.values_of_existing_enums: set[str] = set()
        """Enum values added in the open unit, as literals, to types that were there before it."""
        self.values_of_new_enums: set[str] = set()
        """Those added to types that the unit itself has created."""
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
                    f"{reason}, but it stands between BEGIN and COMMIT", statement.offset
                )
            self._close_unit()
            self.units.append(Unit((statement,), ExecutionMode.OUTSIDE_TRANSACTION, reason))
        else:
            self._add_to_open_unit(statement)

    def _add_to_open_unit(self, statement: Statement) -> None:
        if not self.open_begin and any(value in statement.text for value in self.values_of_existing_enums):
            self._close_unit("an enum value is added and then used, which needs a commit between")
        if any(value in statement.text for value in self.values_of_new_enums):
            # PostgreSQL allows it in the transaction that created the type, but not in a subtransaction of it,
            # which the batch's error handling makes.
            self.plain_reason = "an enum is created, given a value, and that is used"
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
                raise TransactionControlError(
                    "BEGIN inside a transaction that is open already", statement.offset
                )
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
            carrier = ExecutionMode.PLAIN if self.plain_reason else unit.execution_mode
            self.units.append(
                replace(unit, execution_mode=carrier, reason=unit.reason or self.plain_reason or reason)
            )
        self.open_statements = []
        self.values_of_existing_enums, self.values_of_new_enums, self.plain_reason = set(), set(), ""


def _as_set_transaction(begin: Statement) -> Statement:
    """`BEGIN ISOLATION LEVEL …` as the SET TRANSACTION that it is short for: our own BEGIN comes before it."""
    modes = re.sub(r"^(begin|start)(\s+(work|transaction))?\s+", "", begin.text, flags=re.IGNORECASE)
    return Statement(f"SET TRANSACTION {modes}", begin.offset, {"VariableSetStmt": {"name": "TRANSACTION"}})


def _control_message(kind: object) -> str:
    if kind in _COMMIT_KINDS:
        return "COMMIT without BEGIN"
    if kind == "TRANS_STMT_ROLLBACK":
        return "ROLLBACK: a migration can't undo itself"
    return "two-phase transaction control can't be part of a migration"


def _transactional_unit(statements: tuple[Statement, ...]) -> Unit:
    for statement in statements:
        if reason := not_executable_reason(statement):
            return Unit(statements, ExecutionMode.PLAIN, reason)
    return Unit(statements, ExecutionMode.BATCH)


def _without_control(statements: list[Statement]) -> list[Statement]:
    return [s for s in statements if s.kind != "TransactionStmt"]


def outside_transaction_reason(statement: Statement) -> str:
    """Why PostgreSQL refuses the statement inside a transaction block, or an empty text."""
    if statement.kind in _DML_KINDS:
        return ""
    command = _concurrent_command(statement) or _never_in_transaction_command(statement)
    if command:
        return f"{command} can't run in a transaction"
    if statement.kind == "DoStmt" and _do_commits(statement):
        return "a DO block with COMMIT or ROLLBACK inside can't run in a transaction"
    if statement.kind == "CallStmt":
        return "a called procedure may commit, so it can't run in a transaction"
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
    """The command's name where PostgreSQL never runs it in a transaction block."""
    kind, node = statement.kind, statement.node
    if kind == "VacuumStmt":
        return "VACUUM" if node.get("is_vacuumcmd") else ""  # the parser's VacuumStmt is ANALYZE too
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
    """Why PL/pgSQL's EXECUTE can't carry the statement, or an empty text."""
    if statement.kind in _DML_KINDS and not (statement.kind == "SelectStmt" and _INTO.search(statement.text)):
        return ""
    kind, node = statement.kind, statement.node
    if kind == "SelectStmt" and _selects_into(node):
        return "SELECT INTO can't be carried by EXECUTE"
    if kind == "TransactionStmt":
        return "savepoints can't be carried by EXECUTE"
    if kind == "VariableSetStmt" and str(node.get("name", "")).upper() in {
        "TRANSACTION",
        "TRANSACTION SNAPSHOT",
        "SESSION CHARACTERISTICS",
    }:
        return "SET TRANSACTION can't be carried by EXECUTE"
    return ""


def _selects_into(node: Tree) -> bool:
    left = node.get("larg")
    return "intoClause" in node or (isinstance(left, dict) and _selects_into(left))


def _has_option(node: Tree, name: str) -> bool:
    return any(item.get("DefElem", {}).get("defname") == name for item in node.get("params", []))


def _do_commits(statement: Statement) -> bool:
    """Whether a DO block ends transactions: PL/pgSQL's own parser tells a COMMIT from a word in a text."""
    if not _TRANSACTION_WORD.search(_do_body(statement.node)):
        return False
    from mosaic_deploy.sql.libpg_query import ParserError, parse_plpgsql  # loads a C library

    try:
        tree = json.dumps(parse_plpgsql(statement.text))
    except (ParserError, RecursionError):
        return True  # names or types that the parser would have to look up: the word decides
    if '"PLpgSQL_stmt_block":' not in tree:
        return True  # another language, whose bodies aren't read
    return '{"PLpgSQL_stmt_commit":' in tree or '{"PLpgSQL_stmt_rollback":' in tree


def _do_body(node: Tree) -> str:
    options = [item.get("DefElem", {}) for item in node.get("args", [])]
    return " ".join(str(option.get("arg", {}).get("String", {}).get("sval", "")) for option in options)
