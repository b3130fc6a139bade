"""References in scripts and in JSON: string literals that end like a file's name.

A script isn't parsed: whether `/` begins a regular expression depends on its whole syntax. Instead every quote may begin a literal,
and a literal counts only if it is exactly the path of a known file, so a wrong pair of quotes means nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from mosaic_deploy.source.site.found import Edit, Found, Role, Visit

_MAX_LENGTH = 1000
_FILE_ADDRESS = r"[^{quote}\\\n]{{0,{length}}}\.\w{{1,16}}(?:[?#][^{quote}\\\n]{{0,{length}}})?"
_LITERAL = re.compile(
    "|".join(
        f"(?P<{name}>{quote})(?=(?P<{name}_text>(?:{_FILE_ADDRESS.format(quote=quote, length=_MAX_LENGTH)}))(?={quote}))"
        for name, quote in (("double", '"'), ("single", "'"), ("template", "`"))
    )
)
_NESTED = re.compile(
    rf"""(?<=[\[,:{{])(?P<quote>\\+")(?=(?P<address>{_FILE_ADDRESS.format(quote='"', length=_MAX_LENGTH)})(?P=quote)[\],:}}])"""
)
"""A text of JSON within a script's text, as in the payload of React's server components."""
_SIZED_ROW = re.compile(r"[0-9a-f]:T[0-9a-f]{1,8},")
"""Such a payload says how many bytes of text follow, so what follows can't be rewritten."""
_PAYLOAD = re.compile(r"[0-9a-f]{0,8}:[A-Z]{0,2}[\[{\"$]")
"""How a file with such a payload begins."""
_NAME = r"[\w@.~%+\-]+"
_FOLDER_LITERAL = re.compile(
    rf"""(?P<quote>["'`])(?=(?P<address>/(?:{_NAME}/)*[\w@~%+\-]+|(?:\.{{0,2}}/)?(?:{_NAME}/)+)(?P=quote))"""
)
"""A text like a folder's address: `/a/b`, `/a/b/`, `a/b/`."""
_FOLDER_IN_TEMPLATE = re.compile(rf"`(?=(?P<address>(?:\.{{0,2}}/)?(?:{_NAME}/)+)\$\{{)")
"""A folder's address before the name that a script computes: `a/b/${name}.pdf`."""
_MODULE_BEFORE = re.compile(r"(?:\bfrom|\bimport|\bimport\s*\(|\bimportScripts\s*\()\s*(?:/\*[^*]*\*/\s*)?$")
_URL_BEFORE = re.compile(r"\bURL\s*\(\s*(?:/\*[^*]*\*/\s*)?$")
_META_AFTER = re.compile(
    r"""["'`]\s*,\s*(?:import\.meta\.url|document\.currentScript\.src|self\.location)\b"""
)
_JOINED_BEFORE = re.compile(r"(?:\+|\bconcat\s*\()\s*$")
_JOINED_AFTER = re.compile(r"""["'`]\s*(?:\+|\.concat\b)""")
_LOCATION = re.compile(
    r"""\bURL\s*\(\s*(?P<quote>["'`])(?P<address>\.{1,2}(?:/\.{1,2})*/?)(?P=quote)\s*,\s*(?:(?:window|self|document)\s*\.\s*)?location\b"""
)
"""A folder relative to the page, as SvelteKit finds the site's root: `new URL(".", location)`."""
_STYLE_URL = re.compile(
    r"""(?<![\w$.])url\(\s*(?:\\?["'])?(?P<address>(?!\w+:|//|\#)[^"'()\\\s`${}<>]{1,1000}?)(?:\\?["'])?\s*\)"""
)
"""In a stylesheet within a text, as of CSS in JavaScript."""
_OWN_ADDRESS = re.compile(
    r"(?<!,)(?<!, )\b(?:import\.meta\.url|document\.currentScript|self\.location\.href)\b"
)
"""Not as the second argument of `new URL("file", …)`, which names the file."""
_CONTEXT = 40
"""Characters before a literal that say how it is used."""
_URL_ESCAPES = str.maketrans({"'": "%27", "(": "%28", ")": "%29"})
_SOURCE_MAP = re.compile(r"^[ \t]*//[#@][ \t]*sourceMappingURL=(?P<address>[^\s'\"]+)[ \t]*$", re.MULTILINE)
_JSON_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def script_edits(text: str, visit: Visit, page: str = "") -> list[Edit]:
    """The edits for the references of a script that `visit` replaces. `page` is the text of the page that has it."""
    return [*_script_edits(text, visit), *_nested_edits(text, visit, page or text)]


def _nested_edits(text: str, visit: Visit, page: str) -> Iterator[Edit]:
    found = list(_NESTED.finditer(text)) if '\\"' in text else []
    for literal in found if found and not _SIZED_ROW.search(page) else ():
        start, end = literal.span("address")
        if (new := visit(Found(Role.VALUE, text[start:end], start))) is not None:
            yield Edit(start, end, new.translate(_URL_ESCAPES))


def payload_edits(text: str, visit: Visit) -> list[Edit]:
    """The edits for a `.txt` file, which has references only if it is the payload of React's server components."""
    if not _PAYLOAD.match(text) or _SIZED_ROW.search(text):
        return []
    return json_edits(text, visit)


def _script_edits(text: str, visit: Visit) -> Iterator[Edit]:
    plain = text.replace("\\/", "//") if "\\/" in text else text
    for style in _STYLE_URL.finditer(plain) if "url(" in text else ():
        start, end = style.span("address")
        new = visit(Found(Role.STYLE, text[start:end].replace("\\/", "/"), start))
        if new is not None:
            yield Edit(start, end, new.translate(_URL_ESCAPES))
    for literal in _LITERAL.finditer(plain):
        start, end = literal.span(f"{literal.lastgroup}")
        url = text[start:end].replace("\\/", "/")
        new = visit(Found(_role(text, start, end), url, start))
        if new is not None:
            yield Edit(start, end, _escaped(new, text[start - 1]))
    for literal in (*_FOLDER_LITERAL.finditer(plain), *_FOLDER_IN_TEMPLATE.finditer(plain)):
        start, end = literal.span("address")
        url = text[start:end].replace("\\/", "/")
        new = visit(Found(_role(text, start, end), url, start)) if len(url) <= _MAX_LENGTH else None
        if new is not None:
            yield Edit(start, end, _escaped(new, text[start - 1]))
    for found in _LOCATION.finditer(text) if "location" in text else ():
        if (new := visit(Found(Role.LOCATION, found["address"], found.start("address")))) is not None:
            yield Edit(*found.span("address"), new)
    if own := _OWN_ADDRESS.search(text):
        visit(Found(Role.OWN, own[0], own.start()))
    for comment in _SOURCE_MAP.finditer(text):
        start, end = comment.span("address")
        if (new := visit(Found(Role.REFERENCE, comment["address"], start))) is not None:
            yield Edit(start, end, new)


def _role(text: str, start: int, end: int) -> str:
    before, after = text[max(0, start - 1 - _CONTEXT) : start - 1], text[end : end + _CONTEXT]
    if _MODULE_BEFORE.search(before) or (_URL_BEFORE.search(before) and _META_AFTER.match(after)):
        return Role.REFERENCE
    joined = _JOINED_BEFORE.search(before) or _JOINED_AFTER.match(after) or "${" in text[start : end + 2]
    return Role.LITERAL if joined else Role.VALUE


def _escaped(url: str, quote: str) -> str:
    escaped = url.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return escaped.replace("${", "\\${") if quote == "`" else escaped


def json_edits(text: str, visit: Visit, role: str = Role.VALUE) -> list[Edit]:
    """The edits for the texts of a JSON document, also names of members, that `visit` replaces."""
    edits = []
    for found in _JSON_TEXT.finditer(text):
        raw = found[0]
        if "." not in raw and role == Role.VALUE:
            continue
        try:
            value = json.loads(raw)
        except ValueError:
            continue
        start, end = found.start() + 1, found.end() - 1
        new = visit(Found(role, value, start)) if value else None
        if new is not None:
            edits.append(Edit(start, end, json.dumps(new, ensure_ascii=False)[1:-1]))
    return edits


_ADDRESS_MEMBERS = frozenset({"src", "url", "start_url", "scope", "action"})
"""Members of a web manifest that hold addresses, at any depth."""
_MEMBER = re.compile(r'("(?:[^"\\\n]|\\.)*")\s*:\s*("(?:[^"\\\n]|\\.)*")')


def web_manifest_edits(text: str, visit: Visit) -> list[Edit]:
    """The edits for the addresses of a web manifest, which are relative to it."""
    edits = []
    for found in _MEMBER.finditer(text):
        try:
            name, url = json.loads(found[1]), json.loads(found[2])
        except ValueError:
            continue
        new = visit(Found(Role.LINK, url, found.start(2) + 1)) if name in _ADDRESS_MEMBERS else None
        if new is not None:
            edits.append(
                Edit(found.start(2) + 1, found.end(2) - 1, json.dumps(new, ensure_ascii=False)[1:-1])
            )
    return edits
