"""Rules about rows: what empties or overwrites a table that exists."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.act import Act
from mosaic_deploy.sql.hazards.conditions import always, leaves_values
from mosaic_deploy.sql.hazards.facts import Fact
from mosaic_deploy.sql.hazards.names import Name, of_range
from mosaic_deploy.sql.hazards.reach import Touched, touched
from mosaic_deploy.sql.hazards.rule import Finding
from mosaic_deploy.sql.hazards.scope import Scope
from mosaic_deploy.sql.parse import Tree

_TABLE = "{table}"
_EVERY = f"every row of {_TABLE}"


def truncate(act: Act, scope: Scope) -> Iterator[Finding]:
    cascades = act.node.get("behavior") == "DROP_CASCADE"
    for item in act.node.get("relations", []):
        table = of_range(item["RangeVar"])
        if hit := touched(scope, table):
            further = ", and every table that refers to it" if cascades else ""
            what = f"empties table {table}{hit.through}{scope.rows(table)}{further}"
            yield Finding(what, str(table), "*" if cascades else hit.table, reaches=hit.reaches)


def delete_without_where(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for some, _ in _changes(act, "CMD_DELETE", table, scope):
        if some is not None and (hit := touched(scope, table, deletes=True)):
            what = f"deletes {_of(some, table, hit)}{scope.rows(table)}"
            yield Finding(what, str(table), hit.table, reaches=hit.reaches)


def update_without_where(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for some, targets in _changes(act, "CMD_UPDATE", table, scope):
        if some is None or not (hit := touched(scope, table)):
            continue
        names = ", ".join(sorted(targets))
        if targets <= scope.relation(table).added:
            what = f"fills {names} in {_of(some, table, hit)} at once: they stay locked until it commits"
            yield Finding(what + scope.rows(table), str(table), severity=Danger.BLOCKING)
            continue
        what = f"overwrites {names} in {_of(some, table, hit)}{scope.rows(table)}"
        yield Finding(what, str(table), hit.table, reaches=hit.reaches)


def protected_rows(act: Act, scope: Scope) -> Iterator[Finding]:
    """What narrows its rows down, where the policy protects whichever they are."""
    if not scope.protected:
        return
    table = of_range(act.node["relation"])
    added = scope.relation(table).added
    for command, verb in (("CMD_DELETE", "deletes rows"), ("CMD_UPDATE", "overwrites")):
        for some, targets in _changes(act, command, table, scope):
            if some is not None or (targets and targets <= added):
                continue
            if _only_fills(act, targets):
                continue
            hit = touched(scope, table, deletes=command == "CMD_DELETE")
            if scope.protects(*hit.all):
                columns = f" {', '.join(sorted(targets))} in rows" if targets else ""
                yield _of_rows(f"{verb}{columns} of {table}", table, hit)


def _of(some: str, table: Name, hit: Touched) -> str:
    return some.replace(_TABLE, f"{table}{hit.through}")


def _of_rows(what: str, table: Name, hit: Touched) -> Finding:
    return Finding(f"{what}{hit.through}", str(table), hit.table, reaches=hit.reaches)


def _only_fills(act: Act, targets: Collection[str]) -> bool:
    """An UPDATE that puts values only where there were none."""
    return act.kind == "UpdateStmt" and leaves_values(act.node.get("whereClause"), targets)


def _changes(
    act: Act, command: str, table: Name, scope: Scope
) -> Iterator[tuple[str | None, frozenset[str]]]:
    """How the act deletes or updates rows: (which ones, the columns that it sets).

    Which ones is `_EVERY` or the like, with the table to be put in, None where a condition narrows them down.
    """
    node = act.node
    if f"CMD_{act.kind.removesuffix('Stmt').upper()}" == command:
        yield _EVERY if _always(node.get("whereClause"), table, scope) else None, _targets(node)
    elif act.kind == "InsertStmt" and command == "CMD_UPDATE":
        conflict = node.get("onConflictClause", {})
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            yield None, _targets(conflict)
    elif act.kind == "MergeStmt":
        for item in node.get("mergeWhenClauses", []):
            clause = item["MergeWhenClause"]
            if clause.get("commandType") == command:
                yield _merged(clause, node["joinCondition"], table, scope), _targets(clause)


def _merged(clause: Tree, join: Tree, table: Name, scope: Scope) -> str | None:
    if not _always(clause.get("condition"), table, scope):
        return None
    if clause.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
        return f"{_EVERY} that the source doesn't have"
    return _EVERY if _always(join, table, scope) else None


def _targets(node: Tree) -> frozenset[str]:
    return frozenset(str(item.get("ResTarget", {}).get("name")) for item in node.get("targetList", []))


def _always(where: Tree | None, table: Name, scope: Scope) -> bool:
    def required() -> Collection[str]:
        return (scope.fact(table) or Fact()).required

    return where is None or always(where, required)
