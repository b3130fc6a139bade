"""Locates a PostgreSQL error in a statement from its message alone.

PostgreSQL reports a position to the client that sent a statement, but not to the DO block that executes it for us.
The message names what is wrong, so that name is searched in the statement's parse tree, then among its words. If it is
ambiguous, the error stays at the start of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import SqlSyntaxError, Tree, parse
from mosaic_deploy.sql.pg_parser.tokens import tokens
from mosaic_deploy.sql.tree import walk

_QUOTED = re.compile(r'"(.+?)"(?=[\s,;:)]|$)', re.DOTALL)
_NEAR = re.compile(r'at or near "(.+?)"(?=\s|$)', re.DOTALL)
_LITERAL = re.compile(
    r'^(?:invalid input (?:syntax|value) for|malformed |date/time field value out of range|value ")', re.I
)
_FUNCTION = re.compile(r"^(?:function|procedure|aggregate) ([^\s(]+)\(")
_OPERATOR = re.compile(r"^operator (?:does not exist|is not unique): (?:.* )?([-+*/<>=~!@#%^&|`?]+) ")
_PARAMETER = re.compile(r"^there is no parameter \$([0-9]+)")
_COLUMN = re.compile(r"^column ([^\s\"]+\.[^\s\"]+) ")
_NODES_BY_MESSAGE = (
    (_FUNCTION, "FuncCall"),
    (_OPERATOR, "A_Expr"),
    (_COLUMN, "ColumnRef"),
    (_PARAMETER, "ParamRef"),
)
_KIND = re.compile(r"\b(relation|table|view|sequence|type|column)\b[^\"]*$")
_BODY = re.compile(r"\$(?P<tag>[^\W\d]?\w*)\$(?P<body>.*?)\$(?P=tag)\$", re.DOTALL)


def locate_error(text: str, message: str) -> int:
    """The likely offset (characters) in the statement `text` of what `message` is about; 0 if unclear."""
    if near := _NEAR.search(message):
        return _offset_in_function_body(text, near.group(1))
    for found in (_node_offsets(text, message), _word_offsets(text, message)):
        if found:
            return found[0] if len(found) == 1 else 0
    return 0


def _offset_in_function_body(text: str, word: str) -> int:
    """The offset of `word` in a function body: the statement itself parses, so the syntax error is in there."""
    offsets = [
        body.start("body") + found.start()
        for body in _BODY.finditer(text)
        for found in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", body.group("body"))
    ]
    return offsets[0] if len(offsets) == 1 else 0


def _node_offsets(text: str, message: str) -> list[int]:
    """Distinct offsets of the tree's nodes that the message may be about, in order.

    For a missing relation, type or function only the first use counts, because PostgreSQL stops there.
    """
    target = _parse_target(message)
    if target is None:
        return []
    try:
        statements = parse(text)
    except SqlSyntaxError:
        return []
    encoded = text.encode()
    nodes = [n for statement in statements for n in _nodes(statement.tree) if n.kind in target.kinds]
    exact = [node for node in nodes if ".".join(_name_parts(node)) == target.name]
    named = exact or [n for n in nodes if ".".join(_name_parts(n)).endswith(f".{target.name}")]
    bytes_ = sorted({int(node.fields.get("location", 0)) for node in named})
    if target.first:
        del bytes_[1:]
    return [len(encoded[:at].decode()) for at in bytes_ if at >= 0]


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    fields: Tree


@dataclass(frozen=True, slots=True)
class _Target:
    """What a message names. `first`: if it is used several times, the first use is meant."""

    kinds: tuple[str, ...]
    name: str
    first: bool = False


def _parse_target(message: str) -> _Target | None:
    for pattern, node in _NODES_BY_MESSAGE:
        if found := pattern.match(message):
            return _Target((node,), found.group(1), first=node in ("FuncCall", "ParamRef"))
    quoted = _QUOTED.search(message)
    if quoted is None:
        return None
    if _LITERAL.match(message):
        return _Target(("A_Const",), _QUOTED.findall(message)[-1])
    return _target_by_kind(message[: quoted.start()], quoted.group(1))


def _target_by_kind(before: str, name: str) -> _Target | None:
    """The target called `name`, from the words before the name in the message."""
    if "FROM-clause entry" in before:
        return _Target(("Qualifier",), name, first=True)
    kind = _KIND.search(before)
    if kind is None:
        return None
    if kind.group(1) == "column":
        return _Target(("ColumnRef", "ResTarget"), name)
    if kind.group(1) == "type":
        return _Target(("TypeName",), name.removesuffix("[]"), first=True)
    return _Target(("RangeVar",), name, first=True)


def _name_parts(node: _Node) -> list[str]:
    """The parts of a node's name, as the message joins them with dots."""
    fields = node.fields
    if node.kind == "RangeVar":
        return [str(fields[part]) for part in ("schemaname", "relname") if part in fields]
    if node.kind == "ResTarget":
        return [str(fields["name"])] if "name" in fields and "val" not in fields else []
    if node.kind == "ParamRef":
        return [str(fields.get("number", ""))]
    if node.kind == "A_Const":
        return [str(fields.get("sval", {}).get("sval", ""))]
    parts = fields.get(
        {"ColumnRef": "fields", "Qualifier": "fields", "FuncCall": "funcname"}.get(node.kind, "names")
    )
    texts = [str(part.get("String", {}).get("sval", "")) for part in parts or fields.get("name", [])]
    return texts[:-1] if node.kind == "Qualifier" else texts


def _nodes(root: Any) -> Iterator[_Node]:
    """Every named node below `root`. A ColumnRef also comes as the Qualifier it may start with."""
    for name, fields in walk(root):
        kind = _FIELD_KINDS.get(name, name)
        yield _Node(kind, fields)
        if kind == "ColumnRef":
            yield _Node("Qualifier", fields)


_FIELD_KINDS: dict[str, str] = {
    "typeName": "TypeName",
    "relation": "RangeVar",
    "pktable": "RangeVar",
    "view": "RangeVar",
}
"""Fields whose node isn't wrapped in its kind's name."""


def _word_offsets(text: str, message: str) -> list[int]:
    """Offsets of the first quoted name in the message that occurs as an identifier in the statement."""
    words = list(identifiers(text))
    for quoted in _QUOTED.findall(message):
        # A dot may be in a name that was quoted.
        names = {quoted, *(quoted[dot.end() :] for dot in re.finditer(r"\.", quoted))}
        found = [at for at, word in words if word in names]
        if found:
            return found
    return []


def identifiers(text: str) -> Iterator[tuple[int, str]]:
    """(offset, identifier) outside strings and comments, as PostgreSQL reads it."""
    yield from ((one.at, one.value) for one in tokens(text) if one.is_name and one.value is not None)
