"""The rule about what the guard can't measure: SQL that runs in another session, or outside a transaction."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.execution.transactions import outside_transaction_reason
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import statement_effects
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.functions import BUILTIN_FUNCTIONS
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, Effect
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.tree import walk

_IN_ANOTHER_SESSION = frozenset(
    {"dblink", "dblink_exec", "dblink_send_query", "schedule", "schedule_in_database"}
)
"""Functions of common extensions that run a text as SQL, now or later (dblink, pg_cron)."""


_RUNS_CODE = frozenset(
    [
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "MergeStmt",
        "CopyStmt",
        "TruncateStmt",
        "DoStmt",
        "CallStmt",
        "SelectStmt",
        "CreateTableAsStmt",
        "RefreshMatViewStmt",
        "DeclareCursorStmt",
        "FetchStmt",
        "ExecuteStmt",
        "ExplainStmt",
    ]
)
"""Statements that fire triggers, run code, or read views, which may call functions."""


def may_run_code(statement: Statement) -> bool:
    """Whether the statement may run a function or trigger that changes rows. To be asked about SQL that isn't measured."""
    if statement.kind in _RUNS_CODE:
        return True
    calls = (one for one in statement_effects(statement, 0) if one.kind == FUNCTION_CALL)
    return any(list_name(one.node["funcname"]).name not in BUILTIN_FUNCTIONS for one in calls)


def unmeasured(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for what, location in _unmeasured_parts(effect, scope):
        if scope.existed_before(Name(None, ""), ObjectKind.ANY_TABLE):
            message = f"{what}, so what it does to existing rows can't be measured"
            yield Finding(message, "", "*", byte_location=location)


def _unmeasured_parts(effect: Effect, scope: Scope) -> Iterator[tuple[str, int | None]]:
    """What can't be measured, and its location in the parse tree."""
    if effect.kind == FUNCTION_CALL:
        name = list_name(effect.node["funcname"])
        if name.name in _IN_ANOTHER_SESSION:
            yield f"calls {name}(), which runs SQL in another session", effect.node.get("location")
    elif effect.kind == "IndexStmt" and effect.node.get("concurrent"):
        for kind, node in walk(effect.node):
            if kind == "FuncCall" and scope.may_be_own_function(name := list_name(node["funcname"])):
                yield f"calls {name}() in an index that is built outside a transaction", node.get("location")
    elif effect.kind in _COMMITTING and _is_whole_statement(effect):
        yield _COMMITTING[effect.kind], None


_COMMITTING = {"CallStmt": "calls a procedure", "DoStmt": "runs a block that commits"}


def _is_whole_statement(effect: Effect) -> bool:
    """Whether it is a statement of the file that runs outside a transaction; inside a block it can't."""
    statement = effect.source
    return (
        statement is not None
        and effect.node is statement.node
        and effect.file_offset is None
        and bool(outside_transaction_reason(statement))
    )
