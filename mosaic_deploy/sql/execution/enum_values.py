"""Enum values that a step adds. PostgreSQL refuses to use them before they are committed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.pg_parser.tokens import tokens
from mosaic_deploy.sql.tree import walk

_RUNNING_KINDS = frozenset(
    {
        "SelectStmt",
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "MergeStmt",
        "DoStmt",
        "CreateTableAsStmt",
        "CopyStmt",
    }
)
"""Statements that may run functions and triggers."""


_LISTING = frozenset({"enum_range", "enum_first", "enum_last"})
"""Functions that return values which aren't written in the statement."""
_COMPOSITE = re.compile(r"\s*[({\[]")
"""How arrays, rows, ranges and JSON begin."""
_ESCAPES = re.compile(r"[\\'\"]")


class EnumValues:
    """The added values, and the names of their types without schemas."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._types: set[str] = set()

    def add(self, statement: Statement) -> None:
        """Adds the value of an ALTER TYPE … ADD VALUE."""
        self._values.add(str(statement.node["newVal"]))
        self._types.add(_last_name(statement.node["typeName"]))

    def may_be_used(self, statement: Statement, routines: Iterable[str]) -> bool:
        """Whether the statement may use one of the values, itself or in one of the routines, given as their texts.

        Not found is a text that becomes an enum value in a function made earlier, or by an assignment in PL/pgSQL.
        """
        if not self._values:
            return False
        found = list(tokens(statement.written))
        return (
            any(self._is_or_contains(one.value) for one in found if not one.is_name)
            or not _LISTING.isdisjoint(one.value for one in found if one.is_name)
            or (statement.kind == "CreateFunctionStmt" and self._is_in_bodies(statement.text, or_types=False))
            or (statement.kind == "DoStmt" and self._is_in_bodies(statement.text, or_types=True))
            or (
                statement.kind in _RUNNING_KINDS
                and any(self._is_in_bodies(routine, or_types=True) for routine in routines)
            )
            or self._is_cast_to(statement)
        )

    def _is_or_contains(self, text: str | None) -> bool:
        """Whether a constant is one of the values, or has it as a part. One that can't be read may be it."""
        if text is None or text in self._values:
            return True
        return _COMPOSITE.match(text) is not None and self._is_word_in(text)

    def _is_word_in(self, text: str) -> bool:
        # Inside arrays and bodies, quotes and backslashes are escaped.
        plain, values = _ESCAPES.sub("", text), (_ESCAPES.sub("", value) for value in self._values)
        return any(re.search(rf"(?<!\w){re.escape(value)}(?!\w)", plain) for value in values)

    def _is_in_bodies(self, text: str, *, or_types: bool) -> bool:
        """Whether a string in one of the text's bodies has one of the values. In doubt it does.

        `or_types`: or whether a body names one of their types.
        """
        bodies = [one.value for one in tokens(text) if not one.is_name]
        return any(body is None or self._is_in_body(body, or_types) for body in bodies)

    def _is_in_body(self, body: str, or_types: bool) -> bool:
        for one in tokens(body):
            if one.is_name:
                if or_types and one.value in self._types:
                    return True
            elif one.value is None or self._is_word_in(one.value) or self._is_in_body(one.value, or_types):
                return True
        return False

    def _is_cast_to(self, statement: Statement) -> bool:
        """Whether it casts a value that isn't written in it to one of the types, or changes a column to one."""
        if self._types.isdisjoint(one.value for one in tokens(statement.written) if one.is_name):
            return False
        return any(
            _last_name(names) in self._types
            for kind, fields in walk(statement.tree)
            if (names := _target(kind, fields).get("typeName", {}).get("names"))
        )


def _target(kind: str, fields: Tree) -> Tree:
    """The node with the type that existing values become; {} for other nodes."""
    if kind == "TypeCast":
        return {} if "A_Const" in fields["arg"] else fields
    if kind == "AlterTableCmd" and fields.get("subtype") == "AT_AlterColumnType":
        column: Tree = fields["def"]["ColumnDef"]
        return column
    return {}


def _last_name(names: list[Tree]) -> str:
    return str(names[-1]["String"]["sval"])
