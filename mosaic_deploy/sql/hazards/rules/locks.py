"""Rules about statements that lock an existing table while they work."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import object_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands, options_by_name

_TABLE_REWRITES = {
    "AT_SetLogged": "sets table {} LOGGED: rewrites it",
    "AT_SetUnLogged": "sets table {} UNLOGGED: rewrites it",
    "AT_SetTableSpace": "moves table {} to another tablespace: copies it",
    "AT_SetExpression": "changes the expression of a generated column of {}: rewrites the table if stored",
    "AT_SetAccessMethod": "changes the access method of table {}: rewrites it",
}
_SHARE_LOCK = 5
"""The weakest lock mode that blocks writes (PostgreSQL's lockdefs.h)."""


def index_locks(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    if effect.node.get("concurrent") or not scope.existed_before(table):
        return
    name = effect.node.get("idxname")
    index = f"index {quote_if_needed(name)}" if name else "an index"
    what = f"builds {index} on {table}{scope.row_estimate(table)}, blocking writes"
    yield Finding(what, quote_if_needed(name) if name else str(table))


def drop_index_locks(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.node.get("removeType") != "OBJECT_INDEX" or effect.node.get("concurrent"):
        return
    for item in effect.node.get("objects", []):
        index = object_name(item)
        if scope.existed_before(index):
            yield Finding(f"drops index {index}, blocking reads and writes of its table", str(index))


def reindex_locks(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if "concurrently" in options_by_name(effect.node.get("params", [])):
        return
    relation = effect.node.get("relation")
    if relation is None:
        yield Finding("rebuilds the indexes of many tables, blocking writes to each", "")
    elif scope.existed_before(name := range_name(relation)):
        yield Finding(f"rebuilds indexes of {name}{scope.row_estimate(name)}, blocking writes", str(name))


def lock_table(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.node.get("mode", 0) < _SHARE_LOCK:
        return
    for item in effect.node.get("relations", []):
        table = range_name(item["RangeVar"])
        if scope.existed_before(table):
            what = f"locks table {table} until the transaction ends"
            yield Finding(what, str(table), byte_location=item["RangeVar"].get("location"))


def table_rewrite(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, *_TABLE_REWRITES):
        if scope.existed_before(table):
            what = _TABLE_REWRITES[command["subtype"]].format(f"{table}{scope.row_estimate(table)}")
            yield Finding(f"{what}, blocking reads and writes", str(table))


def vacuum_full(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.kind == "ClusterStmt":
        tables = [effect.node["relation"]] if "relation" in effect.node else []
    elif "full" not in options_by_name(effect.node.get("options", [])):
        return
    else:
        tables = [item["VacuumRelation"]["relation"] for item in effect.node.get("rels", [])]
    if not tables:
        yield Finding("rewrites all tables, blocking reads and writes of each", "")
    for table in map(range_name, tables):
        if scope.existed_before(table):
            what = f"rewrites table {table}{scope.row_estimate(table)}, blocking reads and writes"
            yield Finding(what, str(table))


def refresh_locks(effect: Effect, scope: Scope) -> Iterator[Finding]:
    view = range_name(effect.node["relation"])
    if not effect.node.get("concurrent") and scope.existed_before(view):
        yield Finding(f"refreshes {view}{scope.row_estimate(view)}, blocking reads", str(view))
