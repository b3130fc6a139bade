"""The rule about what the guard can't measure: SQL that runs in another session, or outside a transaction."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, Effect
from mosaic_deploy.sql.tree import walk

_IN_ANOTHER_SESSION = frozenset(
    {"dblink", "dblink_exec", "dblink_send_query", "schedule", "schedule_in_database"}
)
"""Functions of common extensions that run a text as SQL, now or later (dblink, pg_cron)."""
_CANT_BE_MEASURED = "so what it does to existing rows can't be measured"


def unmeasured(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """A call that runs SQL in another session; a function of the project that `CREATE INDEX CONCURRENTLY` calls.

    `CALL`, and blocks that commit, are found in `review.py`, which knows how a step runs.
    """
    if not scope.existed_before(Name(None, ""), ObjectKind.ANY_TABLE):
        return
    if effect.kind == FUNCTION_CALL:
        name = list_name(effect.node["funcname"])
        if name.name in _IN_ANOTHER_SESSION:
            what = f"calls {name}(), which runs SQL in another session, {_CANT_BE_MEASURED}"
            yield Finding(what, "", "*", byte_location=effect.node.get("location"))
    elif effect.node.get("concurrent"):
        for kind, node in walk(effect.node):
            name = list_name(node["funcname"]) if kind == "FuncCall" else Name(None, "")
            if name.name and scope.may_be_own_function(name):
                what = f"calls {name}() in an index that is built outside a transaction, {_CANT_BE_MEASURED}"
                yield Finding(what, "", "*", byte_location=node.get("location"))


def outside_transaction(kind: str) -> Finding:
    """For a CALL or DO statement (`kind`) that runs outside a transaction."""
    words = "calls a procedure" if kind == "CallStmt" else "runs a block that commits"
    return Finding(f"{words}, {_CANT_BE_MEASURED}", "", "*")
