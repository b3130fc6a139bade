"""Enum values that a step adds. PostgreSQL refuses to use them before they are committed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import literal
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


class EnumValues:
    """The added values, and the names of their types without schemas."""

    def __init__(self) -> None:
        self._literals: set[str] = set()
        self._types: set[str] = set()

    def add(self, statement: Statement) -> None:
        """Adds the value of an ALTER TYPE … ADD VALUE."""
        self._literals.add(literal(str(statement.node["newVal"])))
        self._types.add(_last_name(statement.node["typeName"]))

    def may_be_used(self, statement: Statement, routines: Iterable[str]) -> bool:
        """Whether the statement may use one of the values, itself or in one of the routines, given as their texts.

        Not found is a text that becomes an enum value in a function made earlier, or by an assignment in PL/pgSQL.
        """
        if not self._literals:
            return False
        text = statement.text
        within = "|".join(re.escape(value[1:-1]) for value in self._literals)
        return (
            any(value in text for value in self._literals)
            or re.search(rf"'[^']*[({{,\"]({within})[)}},\"]", text) is not None
            or re.search(r"\benum_(range|last)\s*\(", text, re.IGNORECASE) is not None
            or (statement.kind in _RUNNING_KINDS and any(self._occur_in(routine) for routine in routines))
            or self._is_cast_to(statement)
        )

    def _occur_in(self, routine: str) -> bool:
        return any(value in routine for value in self._literals) or any(
            re.search(rf"(?<!\w){re.escape(name)}(?!\w)", routine) for name in self._types
        )

    def _is_cast_to(self, statement: Statement) -> bool:
        """Whether it casts a value that isn't written in it to one of the types, or changes a column to one."""
        if not any(name in statement.text.lower() for name in map(str.lower, self._types)):
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
