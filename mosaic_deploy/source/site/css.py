"""References in stylesheets, by the tokens of CSS: comments, strings, names and `url()`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.source.site.found import Edit, Found, Role, Visit

_ESCAPE = r"\\(?:[0-9a-fA-F]{1,6}(?:\r\n|[ \t\r\n\f])?|\r\n|[\s\S])"
_NAME = rf"(?:[-\w\u0080-\U0010ffff]|{_ESCAPE})+"
_TOKEN = re.compile(
    rf"""
    /\*(?P<comment>.*?)(?:\*/|\Z)
    | (?P<string>"(?:[^"\\\n\r\f]|{_ESCAPE})*"? | '(?:[^'\\\n\r\f]|{_ESCAPE})*'?)
    | (?<![-\w\\])(?P<url>[uU][rR][lL]\([ \t\r\n\f]*)(?!["' \t\r\n\f])(?P<address>(?:[^)"'(\\\s]|{_ESCAPE})*)[ \t\r\n\f]*\)
    | @(?P<rule>{_NAME})
    | (?P<function>{_NAME})\(
    | {_NAME}
    | [;{{}}()]
    """,
    re.DOTALL | re.VERBOSE,
)
_SOURCE_MAP = re.compile(r"\s*[#@]\s*sourceMappingURL=(?P<address>[^\s'\"]+)\s*")
_ESCAPED = re.compile(_ESCAPE)
_URL_FUNCTIONS = frozenset({"url", "src", "image-set", "-webkit-image-set", "image"})
_NO_REFERENCES = frozenset({"namespace", "charset", "layer"})


def css_edits(text: str, visit: Visit) -> list[Edit]:
    """The edits for the references that `visit` replaces. Positions are those in `text`."""
    return list(_edits(text, visit))


def _edits(text: str, visit: Visit) -> Iterator[Edit]:
    functions: list[str] = []
    rule = ""
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "comment":
            yield from _source_map_edits(token, visit)
        elif kind == "rule":
            rule = token["rule"].lower()
        elif kind == "function":
            functions.append(token["function"].lower())
        elif kind == "address":
            if rule not in _NO_REFERENCES:
                yield from _replaced(visit, _unescaped(token["address"]), *token.span("address"), "")
        elif kind == "string":
            if (functions and functions[-1] in _URL_FUNCTIONS) or (rule == "import" and not functions):
                yield from _string_edits(token, visit, rule)
        elif token[0] == ")":
            functions = functions[:-1]
        elif token[0] == "(":
            functions.append("")
        elif token[0] in ";{}":
            functions, rule = [], ""


def _string_edits(token: re.Match[str], visit: Visit, rule: str) -> Iterator[Edit]:
    raw = token["string"]
    if rule not in _NO_REFERENCES and len(raw) > 1 and raw[-1] == raw[0]:
        start, end = token.span("string")
        yield from _replaced(visit, _unescaped(raw[1:-1]), start + 1, end - 1, raw[0])


def _source_map_edits(token: re.Match[str], visit: Visit) -> Iterator[Edit]:
    if found := _SOURCE_MAP.fullmatch(token["comment"]):
        offset = token.start("comment")
        start, end = offset + found.start("address"), offset + found.end("address")
        if (new := visit(Found(Role.REFERENCE, found["address"], start))) is not None:
            yield Edit(start, end, new)


def _replaced(visit: Visit, url: str, start: int, end: int, quote: str) -> Iterator[Edit]:
    new = visit(Found(Role.LINK, url, start)) if url else None
    if new is not None:
        yield Edit(start, end, _escaped(new, quote))


def _escaped(url: str, quote: str) -> str:
    """The address for the inside of a string with this quote; without one, of a bare `url()`."""
    special = f"\\{quote}" if quote else "\\()'\" "
    return "".join(f"\\{each}" if each in special else each for each in url)


def _unescaped(raw: str) -> str:
    return _ESCAPED.sub(_escape_text, raw) if "\\" in raw else raw


def _escape_text(found: re.Match[str]) -> str:
    rest = found[0][1:]
    if rest[0] in "0123456789abcdefABCDEF":
        number = int(rest.strip(), 16)
        return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return "" if rest in ("\n", "\r", "\r\n", "\f") else rest
