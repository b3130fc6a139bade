"""A migration summarized: `creates table orders, 2 indexes; alters users; inserts into plans`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mosaic_deploy.sql.parse import Statement, Tree

_MAX_NAMES = 3
"""Names of one kind to list; more are counted."""
_MAX_STATEMENTS = 2000
"""Statements to read. A longer file is data, and its summary wouldn't improve."""

_CREATED = {
    "CreateStmt": "table",
    "CreateTableAsStmt": "table",
    "ViewStmt": "view",
    "CreateSchemaStmt": "schema",
    "CreateSeqStmt": "sequence",
    "CreateFunctionStmt": "function",
    "CreateTrigStmt": "trigger",
    "CreateExtensionStmt": "extension",
    "CreateEnumStmt": "type",
    "CompositeTypeStmt": "type",
    "CreateDomainStmt": "domain",
    "CreatePolicyStmt": "policy",
    "CreateRoleStmt": "role",
    "IndexStmt": "index",
    "RuleStmt": "rule",
}
_DROPPED = {
    "OBJECT_TABLE": "table",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_INDEX": "index",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_RULE": "rule",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_ROUTINE": "function",
    "OBJECT_AGGREGATE": "aggregate",
    "OBJECT_COLLATION": "collation",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_POLICY": "policy",
    "OBJECT_EXTENSION": "extension",
}
_RENAMED = {"OBJECT_COLUMN": "column", "OBJECT_ATTRIBUTE": "attribute", "OBJECT_TABCONSTRAINT": "constraint"}
_DATA = {
    "InsertStmt": "inserts into",
    "UpdateStmt": "updates",
    "DeleteStmt": "deletes from",
    "CopyStmt": "copies",
}
_PLURALS = {"index": "indexes", "policy": "policies", "schema": "schemas"}
_COUNTED_KINDS = frozenset({"index", "trigger", "policy"})
"""Kinds that are counted, not listed: their names add little."""

Phrase = tuple[str, str, str]
"""(verb, kind of object, name)."""


def describe_statements(statements: Iterable[Statement]) -> str:
    """The summary, in order of first appearance; "" for a file without statements."""
    verbs: dict[str, dict[str, dict[str, None]]] = {}
    others = 0
    for number, statement in enumerate(statements):
        if number == _MAX_STATEMENTS:
            break
        phrases = list(_phrases(statement))
        others += not phrases
        for verb, kind, name in phrases:
            verbs.setdefault(verb, {}).setdefault(kind, {})[name] = None
    parts = [f"{verb} {_object_list(kinds)}" for verb, kinds in verbs.items()]
    if others:
        parts.append(f"{others} other statement{'s' if others > 1 else ''}" if parts else _run_phrase(others))
    return "; ".join(parts)


def _run_phrase(count: int) -> str:
    return "runs 1 statement" if count == 1 else f"runs {count} statements"


def _object_list(kinds: dict[str, dict[str, None]]) -> str:
    return ", ".join(_name_list(kind, list(names)) for kind, names in kinds.items())


def _name_list(kind: str, names: list[str]) -> str:
    if kind and (kind in _COUNTED_KINDS or len(names) > _MAX_NAMES):
        return f"1 {kind}" if len(names) == 1 else f"{len(names)} {_plural(kind)}"
    shown = names if len(names) <= _MAX_NAMES else [*names[: _MAX_NAMES - 1], f"{len(names) - 2} more"]
    word = kind if len(names) == 1 else _plural(kind)
    return f"{word} {', '.join(shown)}".strip()


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, f"{kind}s" if kind else "")


def _phrases(statement: Statement) -> Iterator[Phrase]:
    kind, node = statement.kind, statement.node
    if kind in _CREATED:
        verb = "replaces" if node.get("replace") else "creates"
        word = "materialized view" if node.get("objtype") == "OBJECT_MATVIEW" else _CREATED[kind]
        unnamed = kind == "IndexStmt" and not node.get("idxname")
        yield verb, word, f"at {statement.offset}" if unnamed else _name_of(node)
    elif kind == "DropStmt":
        dropped = _DROPPED.get(str(node.get("removeType")), "object")
        for item in node.get("objects", ()):
            yield "drops", dropped, _dotted_name(item)
    elif kind == "AlterTableStmt":
        yield from _alterations(node)
    elif kind == "RenameStmt":
        yield _renaming(node)
    elif kind == "AlterEnumStmt":
        yield "alters", "type", ".".join(_string_values(node.get("typeName", ())))
    elif kind == "TruncateStmt":
        for item in node.get("relations", ()):
            yield "empties", "", _relation(item.get("RangeVar"))
    elif kind in _DATA:
        yield _DATA[kind], "", _relation(node.get("relation"))
    elif kind == "GrantStmt":
        yield ("grants" if node.get("is_grant") else "revokes"), "", "privileges"


def _renaming(node: Tree) -> Phrase:
    """`renames`, `column`, `accounts.mail to email`."""
    kind, table, part = str(node.get("renameType")), _relation(node.get("relation")), node.get("subname")
    if kind in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
        name = f"{table}.{part}"
    elif table and part:
        name = f"{part} on {table}"
    else:
        name = table or str(part or _dotted_name(node.get("object")))
    return "renames", _RENAMED.get(kind) or _DROPPED.get(kind, ""), f"{name} to {node.get('newname')}"


def _alterations(node: Tree) -> Iterator[Phrase]:
    """Dropped columns by name, and the table if anything else of it changes."""
    table = _relation(node.get("relation"))
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", ())]
    dropped = [str(one.get("name")) for one in commands if one.get("subtype") == "AT_DropColumn"]
    for column in dropped:
        yield "drops", "column", f"{table}.{column}"
    if len(dropped) < len(commands) or not commands:
        yield "alters", "", table


def _name_of(node: Tree) -> str:
    for field in ("idxname", "trigname", "policy_name", "extname", "schemaname", "role", "rulename"):
        if isinstance(node.get(field), str):
            return str(node[field])
    for field in ("relation", "view", "sequence", "typevar"):
        if name := _relation(node.get(field)):
            return name
    if name := _relation((node.get("into") or {}).get("rel")):
        return name
    for field in ("funcname", "typeName", "domainname"):
        if node.get(field):
            return ".".join(_string_values(node[field]))
    return "an unnamed one"


def _relation(node: object) -> str:
    if not isinstance(node, dict) or "relname" not in node:
        return ""
    schema = node.get("schemaname")
    return f"{schema}.{node['relname']}" if schema else str(node["relname"])


def _dotted_name(item: object) -> str:
    """The name in an object node of DROP or RENAME."""
    if not isinstance(item, dict):
        return "something"
    if "String" in item:
        return str(item["String"].get("sval", ""))
    inner = item.get("List", {}).get("items") or item.get("ObjectWithArgs", {}).get("objname")
    inner = inner or item.get("TypeName", {}).get("names")
    return ".".join(_string_values(inner)) if inner else "something"


def _string_values(items: Iterable[object]) -> list[str]:
    return [
        str(item["String"].get("sval", "")) for item in items if isinstance(item, dict) and "String" in item
    ]
