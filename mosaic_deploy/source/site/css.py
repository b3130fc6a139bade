"""References in stylesheets, by the tokens of tinycss2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.source.site.found import Edit, Found, Role, Visit

if TYPE_CHECKING:
    from tinycss2.ast import Node

_NEWLINE = re.compile(r"\r\n|[\r\n\f]")
_ESCAPE = r"\\(?:[0-9a-fA-F]{1,6}(?:\r\n|[ \t\r\n\f])?|\r\n|[\s\S]|\Z)"
_STRING = re.compile(rf"""(?P<quote>["'])(?P<value>(?:(?!(?P=quote))[^\\]|{_ESCAPE})*)""")
_URL = re.compile(rf"""[^(]*\([ \t\r\n\f]*(?P<value>(?:[^) \t\r\n\f\\]|{_ESCAPE})*)""")
_SOURCE_MAP = re.compile(r"/\*\s*[#@]\s*sourceMappingURL=(?P<value>[^\s'\"]+?)\s*(?:\*/|\Z)")
_MAY_REFER = re.compile(r"url|import|src\(|image|\\", re.IGNORECASE)
_URL_FUNCTIONS = frozenset({"url", "src", "image-set", "-webkit-image-set", "image"})
_NO_REFERENCES = frozenset({"namespace", "charset", "layer"})
_PARENTHESES = "("


def css_edits(text: str, visit: Visit) -> list[Edit]:
    """The edits for the references that `visit` replaces. Positions are those in `text`."""
    return list(_edits(text, visit)) if _MAY_REFER.search(text) else []


def _edits(text: str, visit: Visit) -> Iterator[Edit]:
    from tinycss2 import parse_component_value_list

    lines = [0, *(each.end() for each in _NEWLINE.finditer(text))]
    for token, function, rule in _tokens(parse_component_value_list(text)):
        start = lines[token.source_line - 1] + token.source_column - 1
        if token.type == "comment":
            yield from _source_map_edits(text, start, visit)
        elif rule in _NO_REFERENCES:
            continue
        elif token.type == "url":
            yield from _replaced(visit, token.value, _URL.match(text, start), "")
        elif function in _URL_FUNCTIONS or (rule == "import" and not function):
            yield from _replaced(visit, token.value, _STRING.match(text, start), text[start])


def _tokens(values: list[Node]) -> Iterator[tuple[Node, str, str]]:
    """Each comment, string and bare `url()`, with the function and the at-rule in which it is; without recursion."""
    stack = [(iter(values), "", "")]
    while stack:
        rest, function, rule = stack.pop()
        for token in rest:
            kind = token.type
            if kind in ("comment", "string", "url"):
                yield token, function, rule
            elif kind == "at-keyword":
                rule = token.lower_value
            elif kind == "literal" and token.value == ";":
                rule = ""
            elif kind == "function":
                stack += (rest, function, rule), (iter(token.arguments), token.lower_name, rule)
                break
            elif kind == "() block":
                stack += (rest, function, rule), (iter(token.content), _PARENTHESES, rule)
                break
            elif kind == "[] block":
                stack += (rest, function, rule), (iter(token.content), function, rule)
                break
            elif kind == "{} block":
                stack += (rest, function, ""), (iter(token.content), "", "")
                break


def _source_map_edits(text: str, start: int, visit: Visit) -> Iterator[Edit]:
    if found := _SOURCE_MAP.match(text, start):
        new = visit(Found(Role.REFERENCE, found["value"], found.start("value")))
        if new is not None:
            yield Edit(*found.span("value"), new)


def _replaced(visit: Visit, url: str, found: re.Match[str] | None, quote: str) -> Iterator[Edit]:
    new = visit(Found(Role.LINK, url, found.start("value"))) if url and found else None
    if found and new is not None:
        yield Edit(*found.span("value"), _escaped(new, quote))


def _escaped(url: str, quote: str) -> str:
    """The address for the inside of a string with this quote; without one, of a bare `url()`."""
    special = f"\\{quote}" if quote else "\\()'\" "
    return "".join(f"\\{each}" if each in special else each for each in url)
