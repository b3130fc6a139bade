"""PostgreSQL's text form of arrays, from and to JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Writer = Callable[[str], str]
"""One value's text form in, its JSON text out."""

_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_.+:-]+")


def array_writer(element: Writer, delimiter: str = ",") -> Writer:
    """Writes `{1,NULL,{2}}` as `[1,null,[2]]`. The lower bounds of an array that doesn't begin at 1 are left out."""
    between = re.escape(delimiter)
    token = re.compile(rf'([{{}}]|{between})|"((?:[^"\\]|\\.)*)"|((?:[^{{}}"\\{between}]|\\.)+)', re.DOTALL)

    def write(text: str) -> str:
        bounds = _BOUNDS.match(text)
        pieces = []
        for found in token.finditer(text, bounds.end() if bounds else 0):
            mark, quoted, bare = found.groups()
            if mark is not None:
                pieces.append({"{": "[", "}": "]"}.get(mark, ","))
            elif quoted is not None:
                pieces.append(element(_ESCAPED.sub(r"\1", quoted)))
            elif bare.upper() == "NULL":
                pieces.append("null")
            else:
                pieces.append(element(_ESCAPED.sub(r"\1", bare)))
        return "".join(pieces)

    return write


def array_literal(values: list[Any], delimiter: str = ",") -> str:
    """A JSON list as PostgreSQL's array; lists inside are its further dimensions, objects are written as JSON."""
    return "{" + delimiter.join(_element(value, delimiter) for value in values) + "}"


def _element(value: Any, delimiter: str) -> str:
    if isinstance(value, list):
        return array_literal(value, delimiter)
    if value is None:
        return "NULL"
    text = scalar_text(value)
    if _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def scalar_text(value: Any) -> str:
    """A JSON value as untyped text: PostgreSQL gives it the type that the statement wants."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
