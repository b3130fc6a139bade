"""PostgreSQL's text form of arrays, from and to JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from psycopg.postgres import types

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


_SAFE = 2**53 - 1
JSON_TYPES = (114, 3802)


def as_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _as_is(text: str) -> str:
    return text


def _boolean(text: str) -> str:
    return "true" if text == "t" else "false"


def _bigint(text: str) -> str:
    return text if -_SAFE <= int(text) <= _SAFE else f'"{text}"'


def _float(text: str) -> str:
    """JSON has no NaN and no infinity; they stay PostgreSQL's words."""
    return text if math.isfinite(float(text)) else f'"{text}"'


def _document(text: str) -> str:
    """A JSON document as it stands, with all digits of its numbers; as a string where readers would stumble: over
    a number beyond every double, half a surrogate pair, or great depth."""
    try:
        document = json.loads(text)
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return as_string(text)
    return text if _depth(text) <= _DEEPEST else as_string(text)


_DEEPEST = 100
"""Some parsers give up at 128 levels, and the answer itself has a few."""


def _depth(text: str) -> int:
    """At most as deep as this: brackets in strings count, too."""
    if text.count("[") + text.count("{") <= _DEEPEST:
        return 0
    deepest = depth = 0
    for letter in text:
        if letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


# By type OID: bool; int2, int4, oid; int8; float4, float8; json, jsonb. All else is a string.
_SCALARS: dict[int, Writer] = {
    16: _boolean,
    **dict.fromkeys((21, 23, 26), _as_is),
    20: _bigint,
    **dict.fromkeys((700, 701), _float),
    **dict.fromkeys(JSON_TYPES, _document),
}

BUILTIN_ARRAYS: dict[int, tuple[int, str]] = {
    entry.array_oid: (entry.oid, entry.delimiter) for entry in types if entry.array_oid
}
"""OID of an array type of PostgreSQL's own → OID of its elements, and what stands between them."""

KNOWN = frozenset(entry.oid for entry in types) | BUILTIN_ARRAYS.keys() | _SCALARS.keys()
"""OIDs of types of which is known whether they are arrays."""


def writer(oid: int, own_arrays: Mapping[int, tuple[int, str]]) -> Writer:
    """How values of a type become JSON. `own_arrays` says it of the database's own array types."""
    found = BUILTIN_ARRAYS.get(oid) or own_arrays.get(oid)
    if found is not None:
        element, delimiter = found
        return array_writer(_SCALARS.get(element, as_string), delimiter)
    return _SCALARS.get(oid, as_string)
