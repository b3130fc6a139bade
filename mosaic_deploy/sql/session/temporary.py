"""Temporary tables, views, sequences and functions: which a step creates, and where a later one uses their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.tree import walk

_SCHEMA = "pg_temp"
_CREATED_AT: dict[str, tuple[str, ...]] = {
    "CreateStmt": ("relation",),
    "CreateTableAsStmt": ("into", "rel"),
    "SelectStmt": ("intoClause", "rel"),
    "ViewStmt": ("view",),
    "CreateSeqStmt": ("sequence",),
}
_TEXT_KINDS = frozenset({"DoStmt", "CreateFunctionStmt"})
"""Statements with a body that the parser doesn't read."""
_CREATES_IN_BODY = re.compile(
    r"\bcreate\s+(?:(?:local|global)\s+)?temp(?:orary)?\s+(?:table|view|sequence)\s+(?:if\s+not\s+exists\s+)?"
    r'(?:pg_temp\s*\.\s*)?("(?:[^"]|"")+"|[\w$]+)(?P<rest>[^;]*)',
    re.IGNORECASE,
)


def temporary_names(statements: Sequence[Statement]) -> set[str]:
    """The temporary objects that exist after the statements have committed."""
    found: set[str] = set()
    for statement in statements:
        found |= {name for name, until_commit in created_temporary(statement) if not until_commit}
        found -= dropped_temporary(statement)
        if statement.kind == "DiscardStmt" and statement.node.get("target") in (
            "DISCARD_ALL",
            "DISCARD_TEMP",
        ):
            found.clear()
    return found


def unmentioned_temporary(statements: Sequence[Statement], later: Sequence[Statement]) -> tuple[str, ...]:
    """The temporary objects that the statements create and that no later one can mean: their names occur nowhere in those, or they
    are dropped when the statements commit."""
    created = [one for statement in statements for one in created_temporary(statement)]
    lasting = {name for name, until_commit in created if not until_commit}
    names = {name for name, _ in created}
    mentioned = {name for name in lasting if any(name.lower() in one.text.lower() for one in later)}
    return tuple(sorted(names - mentioned))


def created_temporary(statement: Statement) -> Iterator[tuple[str, bool]]:
    """The temporary objects that the statement creates, and whether they are dropped when it commits."""
    kind, node = statement.kind, statement.node
    if kind == "DoStmt":
        for one in _CREATES_IN_BODY.finditer(statement.text):
            name = one.group(1)
            until_commit = bool(re.search(r"\bon\s+commit\s+drop\b", one.group("rest"), re.IGNORECASE))
            yield name[1:-1].replace('""', '"') if name.startswith('"') else name.lower(), until_commit
    elif kind == "CreateFunctionStmt":
        names = _names(node.get("funcname"))
        if names[:-1] == [_SCHEMA]:
            yield names[-1], False
    elif kind in _CREATED_AT:
        relation: Any = node
        for part in _CREATED_AT[kind]:
            relation = relation.get(part, {})
        clause = node.get("into", {}) | node.get("intoClause", {})
        if is_temporary(relation):
            until_commit = "ONCOMMIT_DROP" in (node.get("oncommit"), clause.get("onCommit"))
            yield str(relation["relname"]), until_commit


def is_temporary(relation: Tree) -> bool:
    """Whether the name of a new relation makes it temporary: TEMP before it, or the schema pg_temp."""
    return relation.get("relpersistence") == "t" or relation.get("schemaname") == _SCHEMA


def dropped_temporary(statement: Statement) -> set[str]:
    """The names that a DROP names without a schema, or in pg_temp."""
    if statement.kind != "DropStmt":
        return set()
    names = [
        _names(item.get("List", {}).get("items") or item.get("ObjectWithArgs", {}).get("objname"))
        for item in statement.node.get("objects", [])
    ]
    return {one[-1] for one in names if one and one[:-1] in ([], [_SCHEMA])}


def mentions(statement: Statement, name: str) -> bool:
    """Whether the statement may use the temporary object `name`."""
    if name.lower() not in statement.text.lower():
        return False
    if statement.kind in _TEXT_KINDS:
        return bool(re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", statement.text, re.IGNORECASE))
    if name in dropped_temporary(statement):
        return True
    nodes = [fields for _, fields in walk(statement.tree)]
    hidden = any(node.get("ctename") == name for node in nodes)
    return any(_is_named(node, name, hidden=hidden) for node in nodes)


def _is_named(node: Tree, name: str, *, hidden: bool) -> bool:
    """`hidden`: the statement has a WITH query of this name."""
    if node.get("relname") == name and (
        node.get("schemaname") == _SCHEMA or not (node.get("schemaname") or hidden)
    ):
        return True
    if _names(node.get("funcname")) == [_SCHEMA, name] or _names(node.get("names")) in (
        [name],
        [_SCHEMA, name],
    ):
        return True
    # 't'::regclass, nextval('s')
    text = node.get("sval")
    return isinstance(text, dict) and text.get("sval") in (name, f"{_SCHEMA}.{name}")


def _names(parts: Any) -> list[str]:
    """The texts of a list of String nodes."""
    if not isinstance(parts, list):
        return []
    return [
        str(part["String"].get("sval", "")) for part in parts if isinstance(part, dict) and "String" in part
    ]
