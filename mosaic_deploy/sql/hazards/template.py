"""SQL that is put together as it runs, of parts that are known and parts that are quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mosaic_deploy.sql.hazards.names import UNKNOWN, of_items, shown, strings
from mosaic_deploy.sql.parse import SyntaxProblem, Tree, parse
from mosaic_deploy.sql.quote import identifier, literal

_SPECIFIER = re.compile(r"%(?:(\d+)\$)?-?\d*([sIL%])|%")
_SAFE = {
    "int2": "0", "int4": "0", "int8": "0", "oid": "0", "bool": "true",
    "regclass": identifier(UNKNOWN), "regtype": identifier(UNKNOWN), "regnamespace": identifier(UNKNOWN),
}  # fmt: skip
"""Types whose values as text can't be anything else than a number, a word or a quoted name, with such a value."""
_QUOTING = {
    "quote_ident": identifier(UNKNOWN),
    "quote_literal": literal(UNKNOWN),
    "quote_nullable": literal(UNKNOWN),
}


def template(expression: str, types: Mapping[str, str]) -> str | None:
    """The SQL that the expression gives, with UNKNOWN where only a name or a literal can stand.

    None where a part may be anything. `types` are those of the variables.
    """
    try:
        [statement] = parse(f"SELECT {expression}")
        return _text(statement.node["targetList"][0]["ResTarget"]["val"], types)
    except (SyntaxProblem, ValueError, KeyError, IndexError, RecursionError):
        return None


def _text(node: Tree, types: Mapping[str, str]) -> str | None:
    kind, fields = next(iter(node.items()))
    if kind == "A_Const":
        return _constant(fields)
    if kind == "TypeCast" and strings(fields["typeName"]["names"])[-1] in ("text", "varchar"):
        return _text(fields["arg"], types)
    if kind == "A_Expr" and strings(fields["name"]) == ["||"]:
        left, right = _text(fields["lexpr"], types), _text(fields["rexpr"], types)
        return None if left is None or right is None else left + right
    if kind == "ColumnRef":
        return _SAFE.get(types.get(".".join(strings(fields["fields"])), ""))
    return _called(fields, types) if kind == "FuncCall" else None


def _called(call: Tree, types: Mapping[str, str]) -> str | None:
    name = of_items(call["funcname"])
    if name.schema not in (None, "pg_catalog"):
        return None
    if name.name == "format":
        return _format(call["args"], types)
    [argument] = call["args"]
    known = _constant(argument.get("A_Const", {}))
    if name.name in _QUOTING and known is not None:
        return shown(known) if name.name == "quote_ident" else literal(known)
    return _QUOTING.get(name.name)


def _format(arguments: list[Tree], types: Mapping[str, str]) -> str | None:
    pattern = _text(arguments[0], types)
    if pattern is None:
        return None
    at, end, parts = 0, 0, []
    for found in _SPECIFIER.finditer(pattern):
        parts.append(pattern[end : found.start()])
        end = found.end()
        kind = found.group(2)
        if kind == "%":
            parts.append("%")
            continue
        at = int(found.group(1)) if found.group(1) else at + 1
        if kind is None or at >= len(arguments):
            return None
        part = _formatted(kind, arguments[at], types)
        if part is None:
            return None
        parts.append(part)
    return "".join((*parts, pattern[end:]))


def _formatted(kind: str, argument: Tree, types: Mapping[str, str]) -> str | None:
    if kind == "s":
        return _text(argument, types)
    known = _constant(argument.get("A_Const", {}))
    return identifier(known or UNKNOWN) if kind == "I" else literal(known or UNKNOWN)


def _constant(fields: Any) -> str | None:
    if "sval" in fields:
        return str(fields["sval"].get("sval", ""))
    return str(fields["ival"].get("ival", 0)) if "ival" in fields else None
