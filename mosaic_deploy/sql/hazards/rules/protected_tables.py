"""Rules about renames, partitions and rewrite rules that undermine `policy.protected_tables`."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import rule_effects, written_tables
from mosaic_deploy.sql.hazards.effects.touched_tables import touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands


def protected_name(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """A protected table gets an unprotected name, under which it could be dropped later."""
    node = effect.node
    if not scope.protected_tables:
        return
    if node.get("renameType") == "OBJECT_SCHEMA":
        yield from _schema_rename_findings(str(node.get("subname", "")), str(node.get("newname", "")), scope)
    elif "relation" in node and (
        node.get("renameType") == "OBJECT_TABLE" or effect.kind == "AlterObjectSchemaStmt"
    ):
        table = range_name(node["relation"])
        schema = str(node.get("newschema") or scope.key(table).schema)
        name = str(node.get("newname") or table.name)
        if (
            scope.existed_before(table)
            and scope.is_protected(scope.live_name(table))
            and not scope.is_protected(f"{schema}.{name}")
        ):
            to = (
                quote_if_needed(name)
                if "newname" in node
                else f"{quote_if_needed(schema)}.{quote_if_needed(name)}"
            )
            what = f"renames {table} to {to}, which policy.protected_tables doesn't list"
            yield Finding(what, str(table), scope.live_name(table))


def _schema_rename_findings(old: str, new: str, scope: Scope) -> Iterator[Finding]:
    was = scope.origin(Name(None, old), ObjectKind.SCHEMA).name
    inside = [
        one
        for one in scope.protected_tables
        if (one if "." in one else f"public.{one}").startswith(f"{was}.")
    ]
    moved = [one for one in inside if not scope.is_protected(f"{new}.{one.rpartition('.')[2]}")]
    if moved:
        unlisted = f"{new}.{moved[0].rpartition('.')[2]}"
        what = f"renames schema {quote_if_needed(old)} to {quote_if_needed(new)}, but policy.protected_tables doesn't list {unlisted}"
        yield Finding(what, quote_if_needed(old), f"{was}.*", schema=was)


def partition_detached(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for kind in ("AT_DetachPartition", "AT_DropInherit"):
        for definition, _ in alter_commands(effect, kind):
            other = range_name(definition["name"] if kind == "AT_DetachPartition" else definition)
            parent, child = (table, other) if kind == "AT_DetachPartition" else (other, table)
            if scope.existed_before(parent):
                hit = touched_tables(scope, parent)
                severity = (
                    HazardSeverity.DESTRUCTIVE if scope.is_protected(hit.table) else HazardSeverity.RISKY
                )
                what = f"detaches {child}{scope.row_estimate(child)} from {parent}: its rows are no longer part of the table"
                yield Finding(what, str(parent), hit.table, severity=severity)


def rewrite_rule(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    event = str(effect.node.get("event", "")).removeprefix("CMD_")
    hit = touched_tables(scope, table)
    if event == "SELECT" or not hit:
        return
    name = f"rule {quote_if_needed(str(effect.node['rulename']))}"
    written = [
        touched_tables(scope, target, deletes=True)
        for inner in rule_effects(effect)
        for target, _ in written_tables(inner)
    ]
    others = tuple(one for each in written for one in each.all)
    change = "replaces" if effect.node.get("instead") else "adds statements to"
    what = f"creates {name}, which {change} every {event} on {table}"
    severity = HazardSeverity.DESTRUCTIVE if scope.is_protected(*hit.all, *others) else HazardSeverity.RISKY
    yield Finding(what, str(table), hit.table, severity=severity, cascades_to=(*hit.cascades_to, *others))
