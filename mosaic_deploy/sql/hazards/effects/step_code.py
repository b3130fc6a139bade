"""The names that a step's statements use, if these can be read: what the guard needs to tell whether they run other code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from mosaic_deploy.sql.guard.own_code import StepCode
from mosaic_deploy.sql.hazards.effects.statement_effects import written_names, written_tables
from mosaic_deploy.sql.hazards.syntax.names import unquoted
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, Effect, options_by_name
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.tree import walk

_ROWS = frozenset(
    {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt", "SelectStmt", "DoStmt", FUNCTION_CALL,
     "TransactionStmt", "VariableSetStmt", "ConstraintsSetStmt", "LockStmt"}
)  # fmt: skip
_OBJECTS = frozenset(
    {"CreateStmt", "CreateTableAsStmt", "AlterTableStmt", "RenameStmt", "AlterObjectSchemaStmt", "IndexStmt", "CommentStmt"}
)  # fmt: skip
"""Kinds of effects after which the catalog still has what they used: they drop nothing, and make no function, trigger or view."""
_GIVING_DEFAULTS = frozenset({"InsertStmt", "MergeStmt", "CopyStmt", "AlterTableStmt"})
_DETACHES = frozenset({"AT_DetachPartition", "AT_DetachPartitionFinalize"})
_TOKEN = re.compile(
    r'"(?:[^"]|"")+"|[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*|[-+*/<>=~!@#%^&|`?]+', re.ASCII
)
_ESCAPED_NAME = re.compile(r'\bu&"', re.IGNORECASE)
_TO_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_LONGEST_NAME = 63


def with_effect(code: StepCode | None, effect: Effect) -> StepCode | None:
    """The code of a step that also does this; None if the effect may use what no name shows."""
    if code is None or not _is_plain(effect):
        return None
    names = _block_names(effect) if effect.kind == "DoStmt" else frozenset(_strings(effect.node))
    if names is None:
        return None
    changes_object = effect.kind in _OBJECTS or "intoClause" in effect.node
    # A table may have another name, or other partitions, until the step ends.
    written = names if changes_object else {name.name for name, _ in written_tables(effect)}
    gives_defaults = effect.kind in _GIVING_DEFAULTS or _sets_default(effect)
    return code.with_code(names, written, uses_defaults=gives_defaults, changes_object=changes_object)


def with_plain_insert(code: StepCode | None, statement: Statement) -> StepCode | None:
    """The code of a step with an INSERT that has no effect, as in a large file."""
    if code is None or statement.kind != "InsertStmt" or statement.parsed is not None:
        return code
    return code.with_code(written={name.name for name in written_names([statement])}, uses_defaults=True)


def _is_plain(effect: Effect) -> bool:
    node = effect.node
    if effect.kind in ("RenameStmt", "AlterObjectSchemaStmt"):
        return "relation" in node
    if effect.kind == "AlterTableStmt":
        commands = (item.get("AlterTableCmd", {}) for item in node.get("cmds", []))
        return node.get("objtype") == "OBJECT_TABLE" and _DETACHES.isdisjoint(
            one.get("subtype") for one in commands
        )
    return (effect.kind in _ROWS or effect.kind in _OBJECTS) and not node.get("is_program")


def _strings(root: Any) -> Iterator[str]:
    """All texts in the tree but the constants of the statement."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            waiting.extend(value for kind, value in node.items() if kind != "A_Const")
        elif isinstance(node, list):
            waiting.extend(node)


def _block_names(effect: Effect) -> frozenset[str] | None:
    options = options_by_name(effect.node.get("args", []))
    language, body = (
        str((options.get(name) or {}).get("String", {}).get("sval", "")) for name in ("language", "as")
    )
    if language not in ("", "plpgsql") or _ESCAPED_NAME.search(body):
        return None
    found = frozenset(map(_name, _TOKEN.findall(body)))
    return None if "execute" in found else found


def _name(token: str) -> str:
    name = unquoted(token) if token.startswith('"') else token.translate(_TO_LOWER)
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _sets_default(effect: Effect) -> bool:
    return any(kind == "SetToDefault" for kind, _ in walk(effect.node))
