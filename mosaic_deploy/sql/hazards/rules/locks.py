"""Rules about statements that hold a lock for as long as they work on a table that exists."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import of_object, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import Act, commands, options

_REWRITING = {
    "AT_SetLogged": "makes table {} logged, which rewrites it",
    "AT_SetUnLogged": "makes table {} unlogged, which rewrites it",
    "AT_SetTableSpace": "moves table {} to another tablespace, which copies it",
    "AT_SetExpression": "changes what a generated column of {} is, which rewrites the table if it is stored,",
    "AT_SetAccessMethod": "changes the access method of table {}, which rewrites it",
}
_EXCLUSIVE = 5
"""Lock modes from SHARE on keep writers out; a weaker one disturbs hardly anybody."""


def index_locks(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    if act.node.get("concurrent") or not scope.exists(table):
        return
    name = act.node.get("idxname")
    index = f"index {shown(name)}" if name else "an index"
    what = f"builds {index} on {table} while writes wait{scope.rows(table)}"
    yield Finding(what, shown(name) if name else str(table))


def drop_index_locks(act: Act, scope: Scope) -> Iterator[Finding]:
    if act.node.get("removeType") != "OBJECT_INDEX" or act.node.get("concurrent"):
        return
    for item in act.node.get("objects", []):
        index = of_object(item)
        if scope.exists(index):
            yield Finding(f"drops index {index} while reads and writes of its table wait", str(index))


def reindex_locks(act: Act, scope: Scope) -> Iterator[Finding]:
    if "concurrently" in options(act.node.get("params", [])):
        return
    relation = act.node.get("relation")
    if relation is None:
        yield Finding("rebuilds the indexes of many tables while writes to them wait", "")
    elif scope.exists(name := of_range(relation)):
        yield Finding(f"rebuilds indexes of {name} while writes wait{scope.rows(name)}", str(name))


def lock_table(act: Act, scope: Scope) -> Iterator[Finding]:
    if act.node.get("mode", 0) < _EXCLUSIVE:
        return
    for item in act.node.get("relations", []):
        table = of_range(item["RangeVar"])
        if scope.exists(table):
            what = f"locks table {table} until the transaction ends"
            yield Finding(what, str(table), at=item["RangeVar"].get("location"))


def table_rewrite(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, *_REWRITING):
        if scope.exists(table):
            what = _REWRITING[command["subtype"]].format(table)
            yield Finding(f"{what} while reads and writes wait{scope.rows(table)}", str(table))


def vacuum_full(act: Act, scope: Scope) -> Iterator[Finding]:
    if act.kind == "ClusterStmt":
        tables = [act.node["relation"]] if "relation" in act.node else []
    elif "full" not in options(act.node.get("options", [])):
        return
    else:
        tables = [item["VacuumRelation"]["relation"] for item in act.node.get("rels", [])]
    if not tables:
        yield Finding("rewrites all tables, each while its reads and writes wait", "")
    for table in map(of_range, tables):
        if scope.exists(table):
            yield Finding(
                f"rewrites table {table} while reads and writes wait{scope.rows(table)}", str(table)
            )


def refresh_locks(act: Act, scope: Scope) -> Iterator[Finding]:
    view = of_range(act.node["relation"])
    if not act.node.get("concurrent") and scope.exists(view):
        yield Finding(f"refreshes {view} while reads of it wait{scope.rows(view)}", str(view))
