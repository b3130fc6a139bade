"""Which statements PostgreSQL refuses inside a transaction, and which PL/pgSQL's EXECUTE can't run."""

from __future__ import annotations

import json
import re

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.tree import walk

_NEVER_IN_TRANSACTION = {
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION",
}
WRAPPED_KINDS = frozenset({"CallStmt", "DoStmt"})
"""Statements outside a transaction that a DO block can run, after it has set the file's settings."""
_REINDEX_MANY = {
    "REINDEX_OBJECT_SCHEMA": "REINDEX SCHEMA",
    "REINDEX_OBJECT_SYSTEM": "REINDEX SYSTEM",
    "REINDEX_OBJECT_DATABASE": "REINDEX DATABASE",
}
_DML_KINDS = frozenset({"SelectStmt", "UpdateStmt", "DeleteStmt", "InsertStmt"})
"""Statements that can always run in a transaction. Large files are full of them, so they are not parsed for this."""
_INTO = re.compile(r"(?<![\w$])into(?![\w$])", re.IGNORECASE)
_TRANSACTION_WORD = re.compile(r"\b(commit|rollback)\b", re.IGNORECASE)


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
    if sets_read_only(statement):
        return "a read-only transaction can't run inside a DO block"
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
    from mosaic_deploy.sql.pg_parser.libpg_query import ParserError, parse_plpgsql  # loads a C library

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


def sets_read_only(statement: Statement) -> bool:
    """Whether it makes the transaction read-only, in which we couldn't record it."""
    if statement.kind != "VariableSetStmt":
        return False
    name = str(statement.node.get("name", "")).lower()
    return name == "transaction_read_only" or (name == "transaction" and _has_access_mode(statement))


def _has_access_mode(statement: Statement) -> bool:
    return any(mode.get("defname") == "transaction_read_only" for mode in _modes(statement))


_ALWAYS_RUNS = frozenset(
    {
        *(
            "InsertStmt",
            "UpdateStmt",
            "DeleteStmt",
            "MergeStmt",
            "CopyStmt",
            "DoStmt",
            "CallStmt",
            "ExecuteStmt",
        ),
        *("CreateTableAsStmt", "RefreshMatViewStmt", "ExplainStmt", "DeclareCursorStmt", "FetchStmt"),
        *("TruncateStmt", "PrepareStmt", "DeallocateStmt"),
    }
)
"""Statements that may draw numbers from a sequence, if only through a default, trigger or view, and prepared ones."""
_ONLY_DEFINES = frozenset(
    {"CreateStmt", "ViewStmt", "CreateFunctionStmt", "CreateTrigStmt", "RuleStmt", "CreatePolicyStmt"}
)
"""Statements that call none of the functions in them."""


def may_outlive_rollback(statement: Statement) -> bool:
    """Whether something of the statement may remain after ROLLBACK: PostgreSQL doesn't take back a sequence's numbers."""
    if statement.kind in _ALWAYS_RUNS:
        return True
    if statement.kind in _ONLY_DEFINES:
        return False
    reads = statement.kind == "SelectStmt"
    return any(kind == "FuncCall" or (reads and kind == "RangeVar") for kind, _ in walk(statement.tree))


def split_modes(statement: Statement) -> tuple[str, str]:
    """A SET TRANSACTION as the one that must come first in a transaction, and as one of READ ONLY or READ WRITE alone."""
    if not sets_read_only(statement):
        return statement.text, ""
    texts = {mode["defname"]: _mode_text(mode) for mode in _modes(statement)}
    access = texts.pop("transaction_read_only")
    return f"SET TRANSACTION {', '.join(texts.values())}" if texts else "", f"SET TRANSACTION {access}"


def _mode_text(mode: Tree) -> str:
    name, value = mode["defname"], mode["arg"]["A_Const"]
    if name == "transaction_isolation":
        return f"ISOLATION LEVEL {value['sval']['sval'].upper()}"
    on, off = _SWITCHED_MODES[name]
    return on if value["ival"] else off


_SWITCHED_MODES = {
    "transaction_read_only": ("READ ONLY", "READ WRITE"),
    "transaction_deferrable": ("DEFERRABLE", "NOT DEFERRABLE"),
}


def _modes(statement: Statement) -> list[Tree]:
    return [item.get("DefElem", {}) for item in statement.node.get("args", [])]
