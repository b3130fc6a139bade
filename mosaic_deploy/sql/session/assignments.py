"""What a statement sets in its session: SET, RESET, DISCARD, and set_config in a SELECT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import literal
from mosaic_deploy.sql.tree import walk

ALL_SETTINGS = "*"
"""The name in an assignment that resets every setting but the role."""
WHOLE_SESSION = "**"
"""The name in an assignment that begins a new session (DISCARD ALL)."""
UNKNOWN_SETTING = "a setting"
"""The name of a setting that is computed at run time."""
ROLE_SETTINGS = frozenset({"role", "session_authorization"})


@dataclass(frozen=True, slots=True)
class Assignment:
    """One setting that a statement sets. `sql` does the same in another session.

    `values` are its constants, None for the default and for a computed value. `sql` is empty if the value depends on
    more than the session. `local`: until the transaction ends. `maybe` are names that occur in a computed value.
    """

    name: str
    sql: str
    values: tuple[str, ...] | None = None
    computed: bool = False
    local: bool = False
    maybe: tuple[str, ...] = ()


def assignments(statement: Statement) -> tuple[Assignment, ...]:
    """What the statement sets itself, in order; not what functions or DO blocks set that it runs."""
    if statement.kind == "VariableSetStmt":
        return tuple(_set_assignments(statement.text, statement.node))
    if statement.kind == "DiscardStmt":
        return (Assignment(WHOLE_SESSION, ""),) if statement.node.get("target") == "DISCARD_ALL" else ()
    if statement.kind == "SelectStmt" and "set_config" in statement.text.lower():
        return tuple(_select_assignments(statement.text, statement.node))
    return ()


def setting_for_new_connections(statement: Statement) -> str:
    """The setting that ALTER ROLE or ALTER DATABASE changes for new connections of the own role; "" for none.

    Whether a role that it names is the own one is known only when it runs.
    """
    role = statement.node.get("role", {}).get("roletype")
    if statement.kind == "AlterDatabaseSetStmt" or (
        statement.kind == "AlterRoleSetStmt" and role != "ROLESPEC_CSTRING"
    ):
        return str(statement.node.get("setstmt", {}).get("name", ALL_SETTINGS)).lower()
    return ""


def function_settings(statement: Statement) -> set[str]:
    """The settings that a function sets for itself, which end with it."""
    if statement.kind != "CreateFunctionStmt":
        return set()
    return {
        str(option.get("arg", {}).get("VariableSetStmt", {}).get("name", "")).lower()
        for item in statement.node.get("options", [])
        if (option := item.get("DefElem", {})).get("defname") == "set"
    }


def node_assignments(kind: str, node: Tree) -> tuple[Assignment, ...]:
    """The same for a parse tree without its text, as in a DO block; their `sql` is empty."""
    if kind == "VariableSetStmt":
        return tuple(_set_assignments("", node))
    return tuple(_select_assignments("", node)) if kind == "SelectStmt" else ()


def _set_assignments(text: str, node: Tree) -> Iterator[Assignment]:
    name, kind, local = str(node.get("name", "")).lower(), node.get("kind"), bool(node.get("is_local"))
    if kind == "VAR_RESET_ALL":
        yield Assignment(ALL_SETTINGS, text)
    elif kind == "VAR_SET_MULTI":
        if name == "session characteristics":
            yield from _characteristics(node)
    elif kind in ("VAR_RESET", "VAR_SET_DEFAULT"):
        yield Assignment(name, text, local=local)
    else:
        values = tuple(_constant(item) for item in node.get("args", []))
        known = tuple(value for value in values if value is not None)
        yield Assignment(
            name, text, known if len(known) == len(values) else None, len(known) < len(values), local
        )


def _characteristics(node: Tree) -> Iterator[Assignment]:
    """SET SESSION CHARACTERISTICS as the settings that it sets; EXECUTE doesn't accept the statement."""
    for item in node.get("args", []):
        element = item.get("DefElem", {})
        name = f"default_{element.get('defname')}"
        value = _constant(element.get("arg", {})) or ""
        if element.get("defname") != "transaction_isolation":
            value = "on" if value == "1" else "off"
        yield Assignment(name, f"SET {name} = {literal(value)}", (value,))


def _constant(node: Any) -> str | None:
    """A constant as text; None for anything else."""
    fields = node.get("A_Const") if isinstance(node, dict) else None
    if not isinstance(fields, dict):
        return None
    if "ival" in fields:
        return str(fields["ival"].get("ival", 0))
    if "boolval" in fields:
        return "on" if fields["boolval"].get("boolval") else "off"
    for kind, inner in (("sval", "sval"), ("fval", "fval")):
        if kind in fields:
            return str(fields[kind].get(inner, ""))
    return None


def _select_assignments(text: str, node: Tree) -> Iterator[Assignment]:
    """The set_config calls of a SELECT."""
    calls = _set_config_calls(node)
    replayable = bool(text) and _depends_on_session_only(node)
    direct = [item.get("ResTarget", {}).get("val", {}).get("FuncCall") for item in node.get("targetList", [])]
    for call in calls:
        name, value, local = (*(_constant(one) for one in call.get("args", [])[:3]), None, None, None)[:3]
        is_local = str(local).lower() in ("on", "true", "t", "1")
        shown = (name or UNKNOWN_SETTING).lower()
        certain = (
            any(call is one for one in direct) and "fromClause" not in node and "whereClause" not in node
        )
        if name and value is not None and local is not None and certain:
            sql = f"SELECT pg_catalog.set_config({literal(shown)}, {literal(value)}, false)"
            values = tuple(_identifiers(value)) if shown == "search_path" else (value,)
            yield Assignment(shown, sql, values, local=is_local)
        else:
            maybe = tuple(name for text in _texts(call.get("args", [])[1:2]) for name in _identifiers(text))
            yield Assignment(shown, text if replayable else "", computed=True, local=is_local, maybe=maybe)


def _set_config_calls(root: Any) -> list[Tree]:
    """Every call of set_config below `root`, in source order."""
    calls = (fields for kind, fields in walk(root) if kind == "FuncCall")
    found = (call for call in calls if _function_name(call) == "set_config")
    return sorted(found, key=lambda call: int(call.get("location", 0)))


def _texts(root: Any) -> Iterator[str]:
    """Every string constant below `root`."""
    return (str(fields.get("sval", "")) for kind, fields in walk(root) if kind == "sval")


def _function_name(call: Tree) -> str:
    names = [str(part.get("String", {}).get("sval", "")) for part in call.get("funcname", [])]
    return names[-1] if names and names[:-1] in ([], ["pg_catalog"]) else ""


_SESSION_FUNCTIONS = frozenset(
    {"set_config", "current_setting", "concat", "concat_ws", "format", "quote_ident", "quote_literal", "replace",
     "lower", "upper", "btrim", "trim", "left", "right"}
)  # fmt: skip
"""Functions whose results depend on their arguments and the session's settings only."""
_SESSION_NODES = frozenset(
    {"FuncCall", "A_Const", "A_Expr", "TypeCast", "TypeName", "String", "CoalesceExpr", "ResTarget", "List"}
)


def _depends_on_session_only(select: Tree) -> bool:
    """Whether running the SELECT again, in a session with the same settings, sets the same values."""
    if any(part in select for part in ("fromClause", "whereClause", "withClause", "intoClause", "larg")):
        return False
    waiting: list[Any] = [select.get("targetList", [])]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            for kind, child in node.items():
                if kind == "FuncCall" and _function_name(child) not in _SESSION_FUNCTIONS:
                    return False
                if kind[:1].isupper() and kind not in _SESSION_NODES:
                    return False
                waiting.append(child)
    return True


_IDENTIFIER = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\s,"]+))\s*(?:,|$)')


def _identifiers(text: str) -> Iterator[str]:
    """The names in the text of a list setting, as in `app, "Other"`."""
    at = 0
    while at < len(text) and (found := _IDENTIFIER.match(text, at)):
        quoted, plain = found.groups()
        yield quoted.replace('""', '"') if quoted is not None else plain.lower()
        at = found.end()
