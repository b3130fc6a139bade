"""Converts values between PostgreSQL's text format and JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from psycopg.postgres import types

JsonEncoder = Callable[[str], str]
"""From a value's PostgreSQL text to its JSON text."""

_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNQUOTED = re.compile(r"[A-Za-z0-9_.+:-]+")


def array_encoder(element: JsonEncoder, delimiter: str = ",") -> JsonEncoder:
    """Encodes `{1,NULL,{2}}` as `[1,null,[2]]`. Explicit lower bounds, as in `[0:1]={1,2}`, are dropped."""
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
    """A JSON list as a PostgreSQL array: nested lists are further dimensions, objects are JSON text."""
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
    """A JSON value as untyped text; PostgreSQL infers its type from the statement."""
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
    """JSON has no NaN or Infinity, so those are strings."""
    return text if math.isfinite(float(text)) else f'"{text}"'


def _json_document(text: str) -> str:
    """The document unchanged, with all digits of its numbers.

    It becomes a string if common JSON parsers would fail on it: numbers beyond a double's range, lone surrogates, or
    more than `_MAX_DEPTH` levels.
    """
    try:
        document = json.loads(text)
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return json_string(text)
    return text if _depth(text) <= _MAX_DEPTH else json_string(text)


_MAX_DEPTH = 100
"""Some parsers fail at 128 levels, and the response adds a few."""


def _depth(text: str) -> int:
    """An upper bound of the nesting depth, because brackets in strings count too."""
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


# By type OID: bool; int2, int4, oid; int8; float4, float8; json, jsonb. All other types are strings.
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
"""OID of a built-in array type → OID of its element type, and its delimiter."""

KNOWN_TYPES = frozenset(entry.oid for entry in types) | BUILTIN_ARRAYS.keys() | _SCALARS.keys()
"""OIDs of built-in types, which need no lookup to tell whether they are arrays."""


def json_encoder(oid: int, custom_arrays: Mapping[int, tuple[int, str]]) -> JsonEncoder:
    """The encoder for a type. `custom_arrays` has the user-defined array types, as in `BUILTIN_ARRAYS`."""
    array = BUILTIN_ARRAYS.get(oid) or custom_arrays.get(oid)
    if array is not None:
        element, delimiter = array
        return array_encoder(_SCALARS.get(element, json_string), delimiter)
    return _SCALARS.get(oid, json_string)
