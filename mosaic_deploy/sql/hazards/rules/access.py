"""Rules about privileges, row-level security and triggers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import list_name, object_name, range_name
from mosaic_deploy.sql.hazards.syntax.trees import (
    Effect,
    alter_commands,
    option_is_true,
    options_by_name,
    security_invoker_setting,
)
from mosaic_deploy.sql.parse import Tree

_DISABLED_TRIGGERS = {
    "AT_DisableTrig": "a trigger",
    "AT_DisableTrigAll": "all triggers and foreign keys",
    "AT_DisableTrigUser": "all user triggers",
}


def disable_triggers(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.kind == "VariableSetStmt":
        if effect.node.get("name") == "session_replication_role" and "origin" not in str(
            effect.node.get("args")
        ):
            yield Finding("disables triggers and foreign keys on all tables from here on", "")
        return
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, *_DISABLED_TRIGGERS):
        if scope.existed_before(table):
            yield Finding(f"disables {_DISABLED_TRIGGERS[command['subtype']]} on {table}", str(table))


def disable_row_security(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_DisableRowSecurity", "AT_NoForceRowSecurity"):
        if not scope.existed_before(table):
            continue
        whom = "everyone who can read it" if command["subtype"] == "AT_DisableRowSecurity" else "its owner"
        yield Finding(f"disables row-level security on {table} for {whom}", str(table))


def grant_to_public(effect: Effect, _: Scope) -> Iterator[Finding]:
    node = effect.node.get("action", {}) if effect.kind == "AlterDefaultPrivilegesStmt" else effect.node
    grantees = [item.get("RoleSpec", {}) for item in node.get("grantees", [])]
    public = next((role for role in grantees if role.get("roletype") == "ROLESPEC_PUBLIC"), None)
    if not node.get("is_grant") or public is None:
        return
    names = [item.get("AccessPriv", {}).get("priv_name", "") for item in node.get("privileges", [])]
    privileges = ", ".join(name.upper() for name in names) or "all privileges"
    objects = ", ".join(_granted_object(item) for item in node.get("objects", [])) or "all future objects"
    yield Finding(
        f"grants {privileges} on {objects} to PUBLIC (every role)",
        objects,
        byte_location=public.get("location"),
    )


def _granted_object(item: Tree) -> str:
    if "Integer" in item:
        return f"large object {item['Integer'].get('ival', 0)}"
    return str(range_name(item["RangeVar"]) if "RangeVar" in item else object_name(item))


def definer_search_path(effect: Effect, _: Scope) -> Iterator[Finding]:
    created = effect.kind == "CreateFunctionStmt"
    elements = [item["DefElem"] for item in effect.node.get("options" if created else "actions", [])]
    definer = any(e["defname"] == "security" and _is_true(e.get("arg")) for e in elements)
    settings = [e["arg"].get("VariableSetStmt", {}).get("name") for e in elements if e["defname"] == "set"]
    if definer and "search_path" not in settings:
        name = list_name(effect.node["funcname"] if created else effect.node["func"]["objname"])
        what = f"function {name} runs with its owner's privileges but its caller's search_path"
        yield Finding(what, str(name))


def _is_true(node: Any) -> bool:
    return bool(node and node.get("Boolean", {}).get("boolval"))


def security_invoker_lost(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.kind == "ViewStmt":
        view = range_name(effect.node["view"])
        replaces = effect.node.get("replace") or scope.was_dropped(view)
        named = options_by_name(effect.node.get("options", []))
        keeps = "security_invoker" in named and option_is_true(named["security_invoker"])
        if replaces and not keeps and scope.runs_as_invoker(view):
            what = f"replaces view {view} without security_invoker, which it has now"
            yield Finding(f"{what}: it will read with its owner's privileges", str(view))
    elif security_invoker_setting(effect) is False:
        view = range_name(effect.node["relation"])
        if scope.runs_as_invoker(view):
            yield Finding(
                f"removes security_invoker from view {view}: it will read with its owner's privileges",
                str(view),
            )
