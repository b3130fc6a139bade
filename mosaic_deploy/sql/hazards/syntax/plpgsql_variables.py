"""What is known of the values of PL/pgSQL's variables, for SQL that is assembled in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME
from mosaic_deploy.sql.quote import identifier
from mosaic_deploy.sql.tree import walk

_UNKNOWN = identifier(UNKNOWN_NAME)
_SAFE_TYPES = {
    "int2": "0", "int4": "0", "int8": "0", "oid": "0", "bool": "true",
    "regclass": _UNKNOWN, "regtype": _UNKNOWN, "regnamespace": _UNKNOWN,
}  # fmt: skip
"""Types whose text form is always a number, a keyword or a quoted name, each with an example."""
_ASSIGNMENT = re.compile(r'\s*"?(\w+)"?\s*:?=(.*)', re.DOTALL)
_SIMPLE_ASSIGNMENT = 3
_MAX_VARIANTS = 16

Resolve = Callable[[str, Mapping[str, str]], str | None]
"""The text that an expression evaluates to, given the texts of variables; None if it could be anything."""


def variable_texts(root: Any, resolve: Resolve) -> list[dict[str, str]]:
    """The texts that the variables of a parsed block may have, as combinations of name → text.

    A variable is in them if its type is harmless, or if every value it gets is known. It usually has one value; with
    several there is a combination for each.
    """
    data = [datum for part in root for datum in part.get("PLpgSQL_function", {}).get("datums", [])]
    texts = dict(_harmless_texts(data))
    several: dict[str, list[str]] = {}
    for name, values in _assigned_values(root, data).items():
        found = [resolve(value, texts) for value in values]
        known = [text for text in dict.fromkeys(found) if text is not None]
        if len(known) == 1 and None not in found:
            texts[name] = known[0]
        elif known and None not in found:
            several[name] = known
    combinations = list(product(*several.values())) if _count(several) <= _MAX_VARIANTS else [()]
    return [{**texts, **dict(zip(several, each, strict=False))} for each in combinations]


def _count(several: Mapping[str, list[str]]) -> int:
    count = 1
    for values in several.values():
        count *= len(values)
    return count


def _harmless_texts(data: list[Any]) -> Iterator[tuple[str, str]]:
    """Variables of a type whose text is harmless, except names declared with different types."""
    types: dict[str, set[str]] = {}
    for datum in data:
        one = datum.get("PLpgSQL_var", {})
        kind = one.get("datatype", {}).get("PLpgSQL_type", {}).get("typname", "")
        types.setdefault(str(one.get("refname")), set()).add(str(kind))
    for name, kinds in types.items():
        if len(kinds) == 1 and (text := _SAFE_TYPES.get(kinds.pop())):
            yield name, text


def _assigned_values(root: Any, data: list[Any]) -> dict[str, list[str]]:
    """The expressions assigned to each variable, in source order, if it gets no value in another way."""
    names = [str(datum.get("PLpgSQL_var", {}).get("refname")) for datum in data]
    declared = [datum["PLpgSQL_var"] for datum in data if "lineno" in datum.get("PLpgSQL_var", {})]
    values: dict[str, list[str]] = {str(one["refname"]): [] for one in declared}
    for one in declared:
        if default := one.get("default_val", {}).get("PLpgSQL_expr", {}).get("query"):
            values[str(one["refname"])].append(str(default))
    otherwise = {name for name in values if names.count(name) > 1}
    for kind, node in walk(root):
        if kind == "PLpgSQL_stmt_assign":
            expression = node.get("expr", {}).get("PLpgSQL_expr", {})
            target = _ASSIGNMENT.match(str(expression.get("query", "")))
            if target and expression.get("parseMode") == _SIMPLE_ASSIGNMENT:
                values.setdefault(target.group(1).lower(), []).append(target.group(2))
            else:
                otherwise.update(re.findall(r"\w+", str(expression.get("query", "")).partition("=")[0]))
        elif kind == "PLpgSQL_row":
            otherwise.update(str(each.get("name")) for each in node.get("fields", []))
        elif kind in ("PLpgSQL_stmt_foreach_a", "PLpgSQL_diag_item"):
            number = int(node["varno"] if "varno" in node else node.get("target", -1))
            otherwise.update(names[number : number + 1])
        elif kind == "PLpgSQL_stmt_call":
            otherwise.update(re.findall(r"\w+", str(node.get("expr"))))
    own = {name for name in values if values[name] and name in {str(one["refname"]) for one in declared}}
    return {name: values[name] for name in values if name in own - otherwise}
