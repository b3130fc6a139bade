"""Where in a statement PostgreSQL's refusal points, when only its message came back.

PostgreSQL tells a position to whoever sent the statement, and none to the DO block that executes it for us. Its
messages name what is wrong, so the name is looked up in the statement's parse tree; where the tree has no
places, among the statement's words. What isn't clear is left at the statement's beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import SqlSyntaxError, Tree, parse

_QUOTED = re.compile(r'"(.+?)"(?=[\s,;:)]|$)', re.DOTALL)
_NEAR = re.compile(r'at or near "(.+?)"(?=\s|$)', re.DOTALL)
_LITERAL = re.compile(
    r'^(?:invalid input (?:syntax|value) for|malformed |date/time field value out of range|value ")', re.I
)
_FUNCTION = re.compile(r"^(?:function|procedure|aggregate) ([^\s(]+)\(")
_OPERATOR = re.compile(r"^operator (?:does not exist|is not unique): (?:.* )?([-+*/<>=~!@#%^&|`?]+) ")
_COLUMN = re.compile(r"^column ([^\s\"]+\.[^\s\"]+) ")
_KIND = re.compile(r"\b(relation|table|view|sequence|type|column)\b[^\"]*$")
_WORD = re.compile(
    r"(?P<skip>--[^\n]*|/\*|(?:\b[eE]|\b[uU]&)?'(?:[^'\\]|''|\\.)*'|\$(?P<tag>[^\W\d]?\w*)\$.*?\$(?P=tag)\$)"
    r'|(?P<quoted>"(?:[^"]|"")+")|(?P<plain>[^\W\d][\w$]*)',
    re.DOTALL,
)
_BODY = re.compile(r"\$(?P<tag>[^\W\d]?\w*)\$(?P<body>.*?)\$(?P=tag)\$", re.DOTALL)
_BLOCK_COMMENT = re.compile(r"/\*|\*/")


def locate_error(text: str, message: str) -> int:
    """The most likely offset in characters of what `message` complains about in the statement `text`; 0 if unclear."""
    if near := _NEAR.search(message):
        return _offset_in_function_body(text, near.group(1))
    for found in (_node_offsets(text, message), _word_offsets(text, message)):
        if found:
            return found[0] if len(found) == 1 else 0
    return 0


def _offset_in_function_body(text: str, word: str) -> int:
    """The statement itself has been parsed, so a syntax error is inside a function's body."""
    places = [
        body.start("body") + found.start()
        for body in _BODY.finditer(text)
        for found in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", body.group("body"))
    ]
    return places[0] if len(places) == 1 else 0


def _node_offsets(text: str, message: str) -> list[int]:
    """Distinct places of the tree's nodes that the message can mean, in the order of the text.

    All uses of a relation, type or function that isn't there are wrong, and PostgreSQL stops at the first.
    """
    wanted = _parse_target(message)
    if wanted is None:
        return []
    try:
        statements = parse(text)
    except SqlSyntaxError:
        return []
    encoded = text.encode()
    nodes = [n for statement in statements for n in _nodes(statement.tree) if n.kind in wanted.kinds]
    exact = [node for node in nodes if ".".join(_name_parts(node)) == wanted.name]
    named = exact or [n for n in nodes if ".".join(_name_parts(n)).endswith(f".{wanted.name}")]
    bytes_ = sorted({int(node.fields.get("location", 0)) for node in named})
    if wanted.first:
        del bytes_[1:]
    return [len(encoded[:at].decode()) for at in bytes_ if at >= 0]


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    fields: Tree


@dataclass(frozen=True, slots=True)
class _Target:
    """What a message names. `first`: several uses are all wrong."""

    kinds: tuple[str, ...]
    name: str
    first: bool = False


def _parse_target(message: str) -> _Target | None:
    for pattern, node in ((_FUNCTION, "FuncCall"), (_OPERATOR, "A_Expr"), (_COLUMN, "ColumnRef")):
        if found := pattern.match(message):
            return _Target((node,), found.group(1), first=node == "FuncCall")
    quoted = _QUOTED.search(message)
    if quoted is None:
        return None
    if _LITERAL.match(message):
        return _Target(("A_Const",), _QUOTED.findall(message)[-1])
    return _target_by_kind(message[: quoted.start()], quoted.group(1))


def _target_by_kind(before: str, name: str) -> _Target | None:
    """What is called `name`, by the words that stand before the name in the message."""
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
    """A node's name in its parts, as the message would join them."""
    fields = node.fields
    if node.kind == "RangeVar":
        return [str(fields[part]) for part in ("schemaname", "relname") if part in fields]
    if node.kind == "ResTarget":
        return [str(fields["name"])] if "name" in fields and "val" not in fields else []
    if node.kind == "A_Const":
        return [str(fields.get("sval", {}).get("sval", ""))]
    parts = fields.get(
        {"ColumnRef": "fields", "Qualifier": "fields", "FuncCall": "funcname"}.get(node.kind, "names")
    )
    texts = [str(part.get("String", {}).get("sval", "")) for part in parts or fields.get("name", [])]
    return texts[:-1] if node.kind == "Qualifier" else texts


def _nodes(root: Any) -> Iterator[_Node]:
    """Every named node below `root`; a ColumnRef also as the Qualifier it may begin with. Without recursion."""
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            for name, value in item.items():
                if isinstance(value, dict):
                    kind = _FIELD_KINDS.get(str(name), str(name))
                    yield _Node(kind, value)
                    if kind == "ColumnRef":
                        yield _Node("Qualifier", value)
                waiting.append(value)


_FIELD_KINDS: dict[str, str] = {
    "typeName": "TypeName",
    "relation": "RangeVar",
    "pktable": "RangeVar",
    "view": "RangeVar",
}
"""Fields whose node comes without its kind's name around it."""


def _word_offsets(text: str, message: str) -> list[int]:
    """Where the first name in quotes that the statement has at all stands in it, outside texts and comments."""
    words = list(_identifiers(text))
    for quoted in _QUOTED.findall(message):
        name = quoted.rpartition(".")[2]
        found = [at for at, word in words if word in (quoted, name)]
        if found:
            return found
    return []


def _identifiers(text: str) -> Iterator[tuple[int, str]]:
    """Identifiers with their places, as PostgreSQL reads them: in lower case unless quoted."""
    at = 0
    while word := _WORD.search(text, at):
        at = word.end()
        if word.group() == "/*":
            at = _comment_end(text, word.start())
        elif quoted := word.group("quoted"):
            yield word.start(), quoted[1:-1].replace('""', '"')
        elif plain := word.group("plain"):
            yield word.start(), plain.lower()


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for mark in _BLOCK_COMMENT.finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
