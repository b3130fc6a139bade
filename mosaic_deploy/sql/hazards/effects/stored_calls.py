"""Functions that a statement stores in an object, so that using the object calls them: a view, a policy, an operator, …

Nothing calls them yet, but whatever uses the object does, and doesn't name them. So the statement that stores a function is
reviewed as if it called it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk

_STORED_EXPRESSIONS = {
    "ViewStmt": "view",
    "CreatePolicyStmt": "policy",
    "AlterPolicyStmt": "policy",
    "CreateDomainStmt": "domain",
    "AlterDomainStmt": "domain",
    "CreateStmt": "table",
    "CreateForeignTableStmt": "table",
    "AlterTableStmt": "column",
    "CreateFunctionStmt": "function",
    "CreateTrigStmt": "trigger",
    "RuleStmt": "rule",
    "CreateStatsStmt": "statistics",
}
"""Statements with expressions that run later, and what they belong to."""
_NAMED_FUNCTIONS = {"DefineStmt": "definition", "CreateRangeStmt": "params"}
_FUNCTION_OPTIONS = frozenset({"function", "procedure", "subtype_diff", "canonical"})
"""Of CREATE OPERATOR and CREATE TYPE … AS RANGE. Those of CREATE AGGREGATE end with `func`."""
_DEFAULT = "AT_ColumnDefault"


def stored_calls(effect: Effect) -> Iterator[tuple[Name, str]]:
    """The functions, each with the cause in front of what it does: `creates a view that calls wipe(), which `."""
    if effect.kind in _NAMED_FUNCTIONS:
        for name in _option_functions(effect.node.get(_NAMED_FUNCTIONS[effect.kind], [])):
            yield name, f"makes {name}() part of an object, which "
    elif effect.kind == "CreateCastStmt" and "func" in effect.node:
        name = list_name(effect.node["func"]["objname"])
        yield name, f"makes {name}() a cast, which "
    elif effect.kind in _STORED_EXPRESSIONS:
        what = _STORED_EXPRESSIONS[effect.kind]
        for kind, node in walk(_expressions(effect)):
            if kind == "FuncCall":
                name = list_name(node["funcname"])
                yield name, f"stores a call of {name}() in a {what}, which "


def _expressions(effect: Effect) -> Any:
    """The parts with stored expressions. The actions of a rule, and what ALTER TABLE evaluates, are effects of their own."""
    node = effect.node
    if effect.kind == "CreateFunctionStmt":
        return node.get("parameters", [])
    if effect.kind == "AlterTableStmt":
        commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
        return [command for command in commands if command.get("subtype") == _DEFAULT]
    if effect.kind in ("RuleStmt", "CreateTrigStmt"):
        return [node.get("whereClause"), node.get("whenClause")]
    return node


def _option_functions(items: list[Tree]) -> Iterator[Name]:
    for item in items:
        option = item.get("DefElem", {})
        word = str(option.get("defname", "")).lower()
        if word.endswith("func") or word in _FUNCTION_OPTIONS:
            names = (option.get("arg") or {}).get("TypeName", {}).get("names", [])
            if names:
                yield list_name(names)
