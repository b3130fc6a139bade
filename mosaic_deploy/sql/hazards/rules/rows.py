"""Rules about statements that delete or overwrite rows of existing tables, or stop protecting them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.touched_tables import TouchedTables, touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.rules.conditions import is_always_true, matches_only_nulls
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, range_name, string_values
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk

_TABLE = "{table}"
_EVERY_ROW = f"every row of {_TABLE}"


def truncate(effect: Effect, scope: Scope) -> Iterator[Finding]:
    cascades = effect.node.get("behavior") == "DROP_CASCADE"
    for item in effect.node.get("relations", []):
        table = range_name(item["RangeVar"])
        if hit := touched_tables(scope, table):
            further = ", and every table that references it" if cascades else ""
            what = f"empties table {table}{scope.row_estimate(table)}{further}"
            yield Finding(
                what,
                str(table),
                "*" if cascades else hit.table,
                cascades_to=hit.cascades_to,
                parents=hit.parents,
            )


def delete_without_where(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for rows, _ in _row_changes(effect, "CMD_DELETE", table, scope):
        if rows is not None and (hit := touched_tables(scope, table, deletes=True)):
            what = f"deletes {rows.replace(_TABLE, str(table))}{scope.row_estimate(table)}{_referring(hit)}"
            yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to, parents=hit.parents)


def deletes_rows(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """Deletes with a condition, which may match any row."""
    table = range_name(effect.node["relation"])
    for rows, _ in _row_changes(effect, "CMD_DELETE", table, scope):
        hit = touched_tables(scope, table, deletes=True)
        if rows is None and hit and not scope.is_protected(*hit.all):
            what = f"deletes the rows of {table}{scope.row_estimate(table)} that match its condition{_referring(hit)}"
            yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to, parents=hit.parents)


def _referring(hit: TouchedTables) -> str:
    """` and, by foreign keys, deletes rows of items (≈7 rows)`, `, and changes rows of part`: what foreign keys, partitions and
    children add."""
    found = [("deletes", hit.deleted), ("updates", hit.updated)]
    by_key = [f"{verb} rows of {_named(tables)}" for verb, tables in found if tables]
    sharing = f", and changes rows of {_named(dict.fromkeys(hit.sharing, ''))}" if hit.sharing else ""
    return f"{sharing} and, by foreign keys, {' and '.join(by_key)}" if by_key else sharing


def _named(tables: Mapping[str, str]) -> str:
    """The tables with their row estimates."""
    return ", ".join(f"{name.removeprefix('public.')}{rows}" for name, rows in tables.items())


def update_without_where(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for rows, targets in _row_changes(effect, "CMD_UPDATE", table, scope):
        if rows is None or not (hit := touched_tables(scope, table)):
            continue
        names = ", ".join(sorted(targets))
        if targets <= scope.relation(table).added_columns:
            filled = f"{rows.replace(_TABLE, str(table))}{scope.row_estimate(table)}"
            what = f"fills {names} in {filled} at once: rows stay locked until commit"
            yield Finding(what, str(table), severity=HazardSeverity.BLOCKING)
            continue
        what = f"overwrites {names} in {rows.replace(_TABLE, str(table))}{scope.row_estimate(table)}"
        yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to, parents=hit.parents)


def upsert_overwrites(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """INSERT … SELECT … ON CONFLICT DO UPDATE without a condition. Rows written out in VALUES are meant."""
    conflict = effect.node.get("onConflictClause", {})
    if conflict.get("action") != "ONCONFLICT_UPDATE" or not _reads_rows(effect.node.get("selectStmt", {})):
        return
    table = range_name(effect.node["relation"])
    if not _matches_every_row(conflict.get("whereClause"), table, scope):
        return
    targets = _overwritten_columns(conflict) - scope.relation(table).added_columns
    if targets and (hit := touched_tables(scope, table)):
        names = ", ".join(sorted(targets))
        what = f"overwrites {names} in every row of {table}{scope.row_estimate(table)} that conflicts with a selected one"
        yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to, parents=hit.parents)


def _reads_rows(query: Tree) -> bool:
    """Whether the rows to insert are read from a table or function."""
    return any(kind in ("RangeVar", "RangeFunction") for kind, _ in walk(query.get("SelectStmt", {})))


def _overwritten_columns(conflict: Tree) -> frozenset[str]:
    """The columns that get another value; those that decide the conflict are equal if they are set to EXCLUDED's."""
    elements = conflict.get("infer", {}).get("indexElems", [])
    keys = {item.get("IndexElem", {}).get("name") for item in elements}
    found = set()
    for item in conflict.get("targetList", []):
        target = item.get("ResTarget", {})
        source = string_values(target.get("val", {}).get("ColumnRef", {}).get("fields", []))
        if target.get("name") not in keys or source != ["excluded", target.get("name")]:
            found.add(str(target.get("name")))
    return frozenset(found)


def set_unlogged(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, _ in alter_commands(effect, "AT_SetUnLogged"):
        if hit := touched_tables(scope, table):
            what = f"sets table {table}{scope.row_estimate(table)} UNLOGGED: a crash of the server empties it; the rewrite blocks reads and writes"
            yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to, parents=hit.parents)


def protected_rows(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """Deletes and updates with a condition, which are allowed except on protected tables."""
    if not scope.protected_tables:
        return
    table = range_name(effect.node["relation"])
    added = scope.relation(table).added_columns
    for command, verb in (("CMD_DELETE", "deletes rows"), ("CMD_UPDATE", "overwrites")):
        for rows, targets in _row_changes(effect, command, table, scope):
            if rows is not None or (targets and targets <= added):
                continue
            if _only_fills_nulls(effect, targets):
                continue
            hit = touched_tables(scope, table, deletes=command == "CMD_DELETE")
            if scope.is_protected(*hit.all):
                columns = f" {', '.join(sorted(targets))} in rows" if targets else ""
                what = f"{verb}{columns} of {table}"
                yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to, parents=hit.parents)


def _only_fills_nulls(effect: Effect, targets: Collection[str]) -> bool:
    """Whether an UPDATE sets values only where they are null."""
    return effect.kind == "UpdateStmt" and matches_only_nulls(effect.node.get("whereClause"), targets)


def _row_changes(
    effect: Effect, command: str, table: Name, scope: Scope
) -> Iterator[tuple[str | None, frozenset[str]]]:
    """How the effect deletes or updates rows: (which rows, the columns it sets).

    `which rows` is a template such as `_EVERY_ROW`; None if a condition limits them.
    """
    node = effect.node
    if f"CMD_{effect.kind.removesuffix('Stmt').upper()}" == command:
        yield (
            _EVERY_ROW if _matches_every_row(node.get("whereClause"), table, scope) else None,
            _set_columns(node),
        )
    elif effect.kind == "InsertStmt" and command == "CMD_UPDATE":
        conflict = node.get("onConflictClause", {})
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            yield None, _set_columns(conflict)
    elif effect.kind == "MergeStmt":
        for item in node.get("mergeWhenClauses", []):
            clause = item["MergeWhenClause"]
            if clause.get("commandType") == command:
                yield _merged_rows(clause, node["joinCondition"], table, scope), _set_columns(clause)


def _merged_rows(clause: Tree, join: Tree, table: Name, scope: Scope) -> str | None:
    if not _matches_every_row(clause.get("condition"), table, scope):
        return None
    if clause.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
        return f"{_EVERY_ROW} that isn't in the source"
    return _EVERY_ROW if _matches_every_row(join, table, scope) else None


def _set_columns(node: Tree) -> frozenset[str]:
    return frozenset(str(item.get("ResTarget", {}).get("name")) for item in node.get("targetList", []))


def _matches_every_row(where: Tree | None, table: Name, scope: Scope) -> bool:
    def not_null_columns() -> Collection[str]:
        return (scope.facts_of(table) or ObjectFacts()).not_null_columns

    null_columns = scope.relation(table).null_columns
    return where is None or is_always_true(where, not_null_columns, null_columns)
