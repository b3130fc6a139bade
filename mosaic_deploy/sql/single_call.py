"""What of a query is lost when its call to the SQL endpoint ends: an open transaction, and state of the session."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.temporary import is_temporary

_BEGIN = frozenset({"TRANS_STMT_BEGIN", "TRANS_STMT_START"})
_END = frozenset({"TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"})
_SESSION_KINDS = frozenset(
    {
        "VariableSetStmt",
        "PrepareStmt",
        "DeallocateStmt",
        "ListenStmt",
        "UnlistenStmt",
        "DiscardStmt",
        "LoadStmt",
    }
)


def unfinished_transaction(statements: Sequence[Statement]) -> Statement | None:
    """The statement that begins a transaction that the query doesn't end; None if there is none."""
    begin: Statement | None = None
    for statement in statements:
        if statement.kind != "TransactionStmt":
            continue
        kind = statement.node.get("kind")
        if kind in _BEGIN:
            begin = begin or statement
        elif kind in _END:
            begin = statement if statement.node.get("chain") else None
    return begin


def has_lasting_effect(statements: Sequence[Statement]) -> bool:
    """False if everything the query does ends with the session: settings, prepared statements, temporary tables."""
    return not statements or any(not _is_session_state(statement) for statement in statements)


def _is_session_state(statement: Statement) -> bool:
    if statement.kind in ("CreateStmt", "CreateTableAsStmt"):
        target = statement.node.get("relation") or statement.node.get("into", {}).get("rel", {})
        return is_temporary(target)
    return statement.kind in _SESSION_KINDS
