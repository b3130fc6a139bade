"""Rules about privileges, row-level security and triggers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.table_facts import dropped_policies
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts, ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import (
    FUNCTION_CALL,
    Effect,
    alter_commands,
    option_is_true,
    options_by_name,
    security_invoker_setting,
)
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.session.strings import node_turns_off

_ANY_TABLE = Name(None, "")

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


def strings_setting(effect: Effect, scope: Scope) -> Iterator[Finding]:
    is_call = effect.kind == FUNCTION_CALL
    if is_call and list_name(effect.node["funcname"]).name != "set_config":
        return
    if node_turns_off("FuncCall" if is_call else "VariableSetStmt", effect.node) and scope.existed_before(
        _ANY_TABLE, ObjectKind.ANY_TABLE
    ):
        what = (
            "turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads "
            "its strings otherwise than they are checked here"
        )
        yield Finding(what, "", "*", byte_location=effect.node.get("location"))


def disable_row_security(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_DisableRowSecurity", "AT_NoForceRowSecurity"):
        if not scope.existed_before(table):
            continue
        whom = "everyone who can read it" if command["subtype"] == "AT_DisableRowSecurity" else "its owner"
        yield Finding(f"disables row-level security on {table} for {whom}", str(table))


def row_security_without_policy(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """Checked at the end: row-level security is on, and every row is hidden from all but the table's owner."""
    table = _secured_table(effect)
    if table is None:
        return
    relation, fact = scope.relation(table), scope.facts_of(table)
    on = relation.row_security or (relation.row_security is None and fact is not None and fact.row_security)
    if on and _all_policies_are_known(table, scope) and not _policies(table, scope):
        what = f"row-level security of {table} is on, but it has no policy: only its owner can read or write rows"
        yield Finding(what, str(table))


def policy_without_row_security(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """Checked at the end: a policy has no effect."""
    table = range_name(effect.node["table"])
    relation, fact = scope.relation(table), scope.facts_of(table)
    policy = effect.node["policy_name"]
    known_off = relation.row_security is False or (
        relation.row_security is None and fact is not None and not fact.row_security
    )
    if known_off and policy in relation.policies:
        what = f"creates policy {quote_if_needed(policy)} on {table}, whose row-level security is off: it has no effect"
        yield Finding(what, str(table))


def _secured_table(effect: Effect) -> Name | None:
    """The table whose row-level security is switched on, or one of whose policies is dropped."""
    if effect.kind == "DropStmt":
        return next((list_name(table) for table, _ in dropped_policies(effect)), None)
    if any(alter_commands(effect, "AT_EnableRowSecurity")):
        return range_name(effect.node["relation"])
    return None


def _all_policies_are_known(table: Name, scope: Scope) -> bool:
    return scope.relation(table).created or scope.facts_of(table) is not None


def _policies(table: Name, scope: Scope) -> frozenset[str]:
    """The policies that the table has at this point, as far as they are known."""
    fact = scope.facts_of(table) or ObjectFacts()
    relation = scope.relation(table)
    return frozenset(relation.policies | (fact.policies - relation.dropped_policies))


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
