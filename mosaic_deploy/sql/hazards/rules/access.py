"""Rules about who may read and do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import of_items, of_object, of_range
from mosaic_deploy.sql.hazards.syntax.trees import Act, commands, options, truth, view_invoker
from mosaic_deploy.sql.parse import Tree

_TRIGGERS_OFF = {
    "AT_DisableTrig": "a trigger",
    "AT_DisableTrigAll": "all triggers, foreign keys included,",
    "AT_DisableTrigUser": "all triggers",
}


def disable_triggers(act: Act, scope: Scope) -> Iterator[Finding]:
    if act.kind == "VariableSetStmt":
        if act.node.get("name") == "session_replication_role" and "origin" not in str(act.node.get("args")):
            yield Finding("turns off triggers and foreign keys of all tables for what follows", "")
        return
    table = of_range(act.node["relation"])
    for _, command in commands(act, *_TRIGGERS_OFF):
        if scope.exists(table):
            yield Finding(f"turns off {_TRIGGERS_OFF[command['subtype']]} of {table}", str(table))


def disable_row_security(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_DisableRowSecurity", "AT_NoForceRowSecurity"):
        if not scope.exists(table):
            continue
        whom = "whoever may read it" if command["subtype"] == "AT_DisableRowSecurity" else "its owner"
        yield Finding(f"turns off row level security of {table} for {whom}", str(table))


def grant_to_public(act: Act, _: Scope) -> Iterator[Finding]:
    node = act.node.get("action", {}) if act.kind == "AlterDefaultPrivilegesStmt" else act.node
    grantees = [item.get("RoleSpec", {}) for item in node.get("grantees", [])]
    public = next((role for role in grantees if role.get("roletype") == "ROLESPEC_PUBLIC"), None)
    if not node.get("is_grant") or public is None:
        return
    names = [item.get("AccessPriv", {}).get("priv_name", "") for item in node.get("privileges", [])]
    rights = ", ".join(name.upper() for name in names) or "all rights"
    objects = ", ".join(_granted(item) for item in node.get("objects", [])) or "everything made later"
    yield Finding(
        f"grants {rights} on {objects} to PUBLIC: to every role", objects, at=public.get("location")
    )


def _granted(item: Tree) -> str:
    if "Integer" in item:
        return f"large object {item['Integer'].get('ival', 0)}"
    return str(of_range(item["RangeVar"]) if "RangeVar" in item else of_object(item))


def definer_search_path(act: Act, _: Scope) -> Iterator[Finding]:
    created = act.kind == "CreateFunctionStmt"
    elements = [item["DefElem"] for item in act.node.get("options" if created else "actions", [])]
    definer = any(e["defname"] == "security" and _is_true(e.get("arg")) for e in elements)
    settings = [e["arg"].get("VariableSetStmt", {}).get("name") for e in elements if e["defname"] == "set"]
    if definer and "search_path" not in settings:
        name = of_items(act.node["funcname"] if created else act.node["func"]["objname"])
        what = f"function {name} runs with its owner's rights and with the search_path of whoever calls it"
        yield Finding(what, str(name))


def _is_true(node: Any) -> bool:
    return bool(node and node.get("Boolean", {}).get("boolval"))


def security_invoker_lost(act: Act, scope: Scope) -> Iterator[Finding]:
    if act.kind == "ViewStmt":
        view = of_range(act.node["view"])
        replaces = act.node.get("replace") or scope.dropped(view)
        named = options(act.node.get("options", []))
        keeps = "security_invoker" in named and truth(named["security_invoker"])
        if replaces and not keeps and scope.runs_as_invoker(view):
            what = f"replaces view {view} without security_invoker, which it has now"
            yield Finding(f"{what}: it will read with its owner's rights", str(view))
    elif loses_invoker(act):
        view = of_range(act.node["relation"])
        if scope.runs_as_invoker(view):
            yield Finding(f"takes security_invoker from view {view}", str(view))


def loses_invoker(act: Act) -> bool:
    """Whether an ALTER VIEW resets `security_invoker` or sets it to false."""
    return view_invoker(act) is False
