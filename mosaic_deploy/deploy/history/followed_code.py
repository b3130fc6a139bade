"""What code may take away that statements run: DO blocks, procedures, and functions that the files create."""

from __future__ import annotations

import re

from mosaic_deploy.deploy.history.expected_schema import ExpectedSchema, key_of
from mosaic_deploy.sql.hazards.syntax.names import list_name
from mosaic_deploy.sql.parse import Statement

_CHANGES = re.compile(r"drop|\b(rename|alter|attach|inherit|set\s+schema)\b", re.IGNORECASE)
_DROPS = re.compile(r"drop|\b(rename|set\s+schema)\b", re.IGNORECASE)
_DROPPING_FUNCTION = re.compile(r"drop\w*\"?\s*\(", re.IGNORECASE)
"""A call such as `DropGeometryColumn(`."""
_DYNAMIC = re.compile(r"\bexecute\b", re.IGNORECASE)
_CASCADE = re.compile(r"\bcascade\b", re.IGNORECASE)
_CODE = frozenset({"DoStmt", "CallStmt"})
_CALLING = _CODE | {
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "CreateTableAsStmt",
}


class CodeFollower:
    """Takes away from `expected` what the code of statements may."""

    def __init__(self, expected: ExpectedSchema) -> None:
        self._expected = expected
        self._bodies: dict[str, str] = {}
        """The statements that create functions which may alter or drop something, by name."""

    def follow(self, statement: Statement) -> None:
        kind = statement.kind
        if kind == "CreateFunctionStmt" and _CHANGES.search(statement.text):
            name = list_name(statement.node["funcname"]).name
            self._bodies[name] = self._bodies.get(name, "") + statement.text
        if kind in _CODE or (kind == "SelectStmt" and _DROPPING_FUNCTION.search(statement.text)):
            self._run(statement.text)
        if kind in _CALLING:
            for body in self._called(statement.text):
                # The names may be arguments.
                self._run(f"{body} {statement.text}")

    def _called(self, text: str) -> list[str]:
        """The bodies of the functions that the text calls, and of those that these call."""
        found: dict[str, str] = {}
        waiting = [text] if self._bodies else []
        while waiting:
            calling = waiting.pop()
            for name, body in self._bodies.items():
                if name not in found and re.search(rf'{re.escape(name)}"?\s*\(', calling, re.IGNORECASE):
                    found[name] = body
                    waiting.append(body)
        return list(found.values())

    def _run(self, text: str) -> None:
        """Code that alters or drops: what it names may be gone, and if it builds statements, anything."""
        if not _CHANGES.search(text):
            return
        words = {word for one in (text, text.lower()) for word in re.findall(r"\w+", one)}
        anything = bool(_DYNAMIC.search(text))

        def is_named(name: str) -> bool:
            return anything or name in words or (not re.fullmatch(r"\w+", name) and name in text)

        touched = [each for each in self._expected.relations.values() if is_named(each.name.name)]
        self._expected.forget_types(touched)
        for each in touched:
            each.attached = True
        if _DROPS.search(text):
            for each in list(self._expected.relations.values()):
                if is_named(each.name.name) or any(map(is_named, each.columns)):
                    del self._expected.relations[key_of(each.name)]
            self._expected.forget_named(is_named)
            if _CASCADE.search(text):
                self._expected.cascade(words, widely=True)
