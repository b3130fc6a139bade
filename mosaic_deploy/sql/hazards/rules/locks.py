"""Rules about statements that lock an existing table while they work."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.partitions import is_partitioned, is_partitioned_index
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import object_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands, options_by_name

_TABLE_REWRITES = {
    "AT_SetLogged": "sets table {} LOGGED: rewrites it",
    "AT_SetTableSpace": "moves table {} to another tablespace: copies it",
    "AT_SetExpression": "changes the expression of a generated column of {}: rewrites the table if stored",
    "AT_SetAccessMethod": "changes the access method of table {}: rewrites it",
}
_SHARE_LOCK = 5
"""The weakest lock mode that blocks writes (PostgreSQL's lockdefs.h)."""


def index_locks(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    concurrent, partitioned = bool(effect.node.get("concurrent")), is_partitioned(table, scope)
    if partitioned and not effect.node["relation"].get("inh"):
        return  # ON ONLY: no rows, and the indexes of its partitions are attached later
    name = effect.node.get("idxname")
    index = f"index {quote_if_needed(name)}" if name else "an index"
    shown = quote_if_needed(name) if name else str(table)
    if concurrent and partitioned:
        what = f"builds {index} CONCURRENTLY on partitioned table {table}: PostgreSQL refuses that"
        yield Finding(what, shown, severity=HazardSeverity.RISKY, instead=_PARTITIONED_INDEX)
    elif not concurrent and scope.existed_before(table):
        what = f"builds {index} on {table}{scope.row_estimate(table)}, blocking writes"
        yield Finding(what, shown, instead=_PARTITIONED_INDEX if partitioned else _outside_block(effect))


_PARTITIONED_INDEX = "CREATE INDEX … ON ONLY the table, CREATE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION"


def _outside_block(effect: Effect) -> str:
    """Advice for a statement in a DO block or function, where CONCURRENTLY fails."""
    return "" if effect.certain else "CREATE INDEX CONCURRENTLY as a statement of its own, outside the block"


def drop_index_locks(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.node.get("removeType") != "OBJECT_INDEX":
        return
    concurrent = bool(effect.node.get("concurrent"))
    for item in effect.node.get("objects", []):
        index = object_name(item)
        partitioned = is_partitioned_index(index, scope)
        if concurrent and partitioned:
            what = f"drops index {index} of a partitioned table CONCURRENTLY: PostgreSQL refuses that"
            yield Finding(what, str(index), severity=HazardSeverity.RISKY, instead=_DROP_PARTITIONED_INDEX)
        elif not concurrent and scope.existed_before(index):
            what = f"drops index {index}, blocking reads and writes of its table"
            yield Finding(what, str(index), instead=_DROP_PARTITIONED_INDEX if partitioned else "")


_DROP_PARTITIONED_INDEX = (
    "drop it while nothing uses the table; a partitioned index can't be dropped CONCURRENTLY"
)


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
    concurrent = bool(effect.node.get("concurrent"))
    found, populated = scope.facts_of(view), scope.relation(view).populated
    if populated is None:
        populated = found is None or found.populated
    if concurrent and not populated:
        what = f"refreshes {view} CONCURRENTLY, but it is WITH NO DATA: PostgreSQL refuses that"
        instead = (
            "REFRESH MATERIALIZED VIEW without CONCURRENTLY the first time: nothing can read the view before"
        )
        yield Finding(what, str(view), severity=HazardSeverity.RISKY, instead=instead)
    elif not concurrent and populated and scope.existed_before(view):
        yield Finding(f"refreshes {view}{scope.row_estimate(view)}, blocking reads", str(view))
