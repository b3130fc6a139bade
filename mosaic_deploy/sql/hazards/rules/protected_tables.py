"""Rules about what takes a table out of the policy's sight, and what works on it later."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.effects.acts import rule_acts, written
from mosaic_deploy.sql.hazards.effects.reach import Touched, touched
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.facts import Kind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN, Name, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import Act, commands


def protected_name(act: Act, scope: Scope) -> Iterator[Finding]:
    """A protected table gets a name that isn't protected: whoever drops that later isn't stopped."""
    node = act.node
    if not scope.protected:
        return
    if node.get("renameType") == "OBJECT_SCHEMA":
        yield from _schema_renamed(str(node.get("subname", "")), str(node.get("newname", "")), scope)
    elif "relation" in node and (
        node.get("renameType") == "OBJECT_TABLE" or act.kind == "AlterObjectSchemaStmt"
    ):
        table = of_range(node["relation"])
        schema = str(node.get("newschema") or scope.key(table).schema)
        name = str(node.get("newname") or table.name)
        if (
            scope.exists(table)
            and scope.protects(scope.full(table))
            and not scope.protects(f"{schema}.{name}")
        ):
            to = shown(name) if "newname" in node else f"{shown(schema)}.{shown(name)}"
            what = f"renames {table} to {to}, which policy.protected_tables doesn't name"
            yield Finding(what, str(table), scope.full(table))


def _schema_renamed(old: str, new: str, scope: Scope) -> Iterator[Finding]:
    was = scope.origin(Name(None, old), Kind.SCHEMA).name
    inside = [
        one for one in scope.protected if (one if "." in one else f"public.{one}").startswith(f"{was}.")
    ]
    moved = [one for one in inside if not scope.protects(f"{new}.{one.rpartition('.')[2]}")]
    if moved:
        what = (
            f"renames schema {shown(old)} to {shown(new)}, where policy.protected_tables names no {moved[0]}"
        )
        yield Finding(what, shown(old), f"{was}.*")


def rename_unknown(act: Act, scope: Scope) -> Iterator[Finding]:
    """A table gets a name that is said only as the SQL runs: what is dropped by it can't be told."""
    if UNKNOWN in (act.node.get("newname"), act.node.get("newschema")) and "relation" in act.node:
        table = of_range(act.node["relation"])
        if scope.exists(table):
            yield Finding(f"renames {table} to a name that can't be told", str(table), scope.full(table))


def partition_detached(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for kind in ("AT_DetachPartition", "AT_DropInherit"):
        for definition, _ in commands(act, kind):
            other = of_range(definition["name"] if kind == "AT_DetachPartition" else definition)
            parent, child = (table, other) if kind == "AT_DetachPartition" else (other, table)
            if scope.exists(parent):
                hit = touched(scope, parent)
                severity = Danger.DESTRUCTIVE if scope.protects(hit.table) else Danger.RISKY
                what = f"takes the rows of {child} out of {parent}{scope.rows(child)}"
                yield Finding(what, str(parent), hit.table, severity=severity)


def rewrite_rule(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    event = str(act.node.get("event", "")).removeprefix("CMD_")
    hit = touched(scope, table)
    if event == "SELECT" or not hit:
        return
    name = f"rule {shown(str(act.node['rulename']))}"
    behind = [touched(scope, one, deletes=True) for inner in rule_acts(act) for one, _ in written(inner)]
    others = tuple(one for each in behind for one in each.all)
    instead = "something else than" if act.node.get("instead") else "more than"
    what = f"makes {name}: from now on {event} on {table} does {instead} it says"
    yield _watched(what, table, hit, others, scope)


def _watched(what: str, table: Name, hit: Touched, others: tuple[str, ...], scope: Scope) -> Finding:
    severity = Danger.DESTRUCTIVE if scope.protects(*hit.all, *others) else Danger.RISKY
    return Finding(what, str(table), hit.table, severity=severity, reaches=(*hit.reaches, *others))
