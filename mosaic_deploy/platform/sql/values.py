"""PostgreSQL's text form of arrays, from and to JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from psycopg.postgres import types

JsonEncoder = Callable[[str], str]
"""One value's text form in, its JSON text out."""

_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNQUOTED = re.compile(r"[A-Za-z0-9_.+:-]+")


def array_encoder(element: JsonEncoder, delimiter: str = ",") -> JsonEncoder:
    """Writes `{1,NULL,{2}}` as `[1,null,[2]]`. The lower bounds of an array that doesn't begin at 1 are left out."""
    between = re.escape(delimiter)
    token = re.compile(rf'([{{}}]|{between})|"((?:[^"\\]|\\.)*)"|((?:[^{{}}"\\{between}]|\\.)+)', re.DOTALL)

    def write(text: str) -> str:
        bounds = _BOUNDS.match(text)
        parts = []
        for found in token.finditer(text, bounds.end() if bounds else 0):
            mark, quoted, bare = found.groups()
            if mark is not None:
                parts.append({"{": "[", "}": "]"}.get(mark, ","))
            elif quoted is not None:
                parts.append(element(_ESCAPED.sub(r"\1", quoted)))
            elif bare.upper() == "NULL":
                parts.append("null")
            else:
                parts.append(element(_ESCAPED.sub(r"\1", bare)))
        return "".join(parts)

    return write


def array_literal(values: list[Any], delimiter: str = ",") -> str:
    """A JSON list as PostgreSQL's array; lists inside are its further dimensions, objects are written as JSON."""
    return "{" + delimiter.join(_array_element(value, delimiter) for value in values) + "}"


def _array_element(value: Any, delimiter: str) -> str:
    if isinstance(value, list):
        return array_literal(value, delimiter)
    if value is None:
        return "NULL"
    text = scalar_text(value)
    if _UNQUOTED.fullmatch(text) and text.upper() != "NULL":
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


_MAX_SAFE_INTEGER = 2**53 - 1
JSON_TYPES = (114, 3802)


def json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _unchanged(text: str) -> str:
    return text


def _boolean(text: str) -> str:
    return "true" if text == "t" else "false"


def _bigint(text: str) -> str:
    return text if -_MAX_SAFE_INTEGER <= int(text) <= _MAX_SAFE_INTEGER else f'"{text}"'


def _float(text: str) -> str:
    """JSON has no NaN and no infinity; they stay PostgreSQL's words."""
    return text if math.isfinite(float(text)) else f'"{text}"'


def _json_document(text: str) -> str:
    """A JSON document as it stands, with all digits of its numbers; as a string where readers would stumble: over
    a number beyond every double, half a surrogate pair, or great depth."""
    try:
        document = json.loads(text)
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return json_string(text)
    return text if _depth(text) <= _MAX_DEPTH else json_string(text)


_MAX_DEPTH = 100
"""Some parsers give up at 128 levels, and the answer itself has a few."""


def _depth(text: str) -> int:
    """At most as deep as this: brackets in strings count, too."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
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
_SCALARS: dict[int, JsonEncoder] = {
    16: _boolean,
    **dict.fromkeys((21, 23, 26), _unchanged),
    20: _bigint,
    **dict.fromkeys((700, 701), _float),
    **dict.fromkeys(JSON_TYPES, _json_document),
}

BUILTIN_ARRAYS: dict[int, tuple[int, str]] = {
    entry.array_oid: (entry.oid, entry.delimiter) for entry in types if entry.array_oid
}
"""OID of an array type of PostgreSQL's own → OID of its elements, and what stands between them."""

KNOWN_TYPES = frozenset(entry.oid for entry in types) | BUILTIN_ARRAYS.keys() | _SCALARS.keys()
"""OIDs of types of which is known whether they are arrays."""


def json_encoder(oid: int, custom_arrays: Mapping[int, tuple[int, str]]) -> JsonEncoder:
    """How values of a type become JSON. `custom_arrays` says it of the database's own array types."""
    found = BUILTIN_ARRAYS.get(oid) or custom_arrays.get(oid)
    if found is not None:
        element, delimiter = found
        return array_encoder(_SCALARS.get(element, json_string), delimiter)
    return _SCALARS.get(oid, json_string)
