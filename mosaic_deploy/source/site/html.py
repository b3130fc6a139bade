"""References in pages and SVG files, by the tokens of HTML as the standard's tokenizer makes them.

No library gives the positions of attributes but tree-sitter-html, which misreads 10 of 20 malformed pages; html.parser of Python
3.11 to 3.13.0 misreads 5 of them, both take quadratic time, and justhtml, with which the tests compare, takes 5 times as long.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mosaic_deploy.source.site.css import css_edits
from mosaic_deploy.source.site.found import Edit, Found, Role, Visit, apply_edits
from mosaic_deploy.source.site.script import json_edits, script_edits

_SPACE = " \\t\\n\\f\\r"
_MARKUP = re.compile(
    r"<(?:(?P<name>[A-Za-z][^\t\n\f\r />]*)|(?P<comment>!--)|(?P<bogus>[!?]|/(?![A-Za-z]))|(?P<end>/[A-Za-z][^\t\n\f\r />]*))"
)
_COMMENT_END = re.compile(r"--!?>|\Z")
_ATTRIBUTE = re.compile(
    rf"""[{_SPACE}/]*(?:(?P<close>>)|(?P<name>[^{_SPACE}/>][^{_SPACE}/>=]*)
    (?:[{_SPACE}]*=[{_SPACE}]*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^{_SPACE}>"'][^{_SPACE}>]*))?)?)""",
    re.VERBOSE,
)
_RAW_TEXT = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_XML_RAW_TEXT = frozenset({"script", "style"})
_FOREIGN = frozenset({"svg", "math"})
_FOREIGN_ENDS = frozenset({"/svg", "/math"})
_LOADING_RELS = frozenset(
    {
        "stylesheet",
        "icon",
        "apple-touch-icon",
        "apple-touch-icon-precomposed",
        "mask-icon",
        "manifest",
        "preload",
        "modulepreload",
        "prefetch",
        "next",
        "prev",
        "help",
        "license",
        "search",
        "author",
    }
)
_LINKS = {
    "a": {"href"},
    "area": {"href"},
    "img": {"src", "srcset"},
    "source": {"src", "srcset"},
    "script": {"src"},
    "video": {"src", "poster"},
    "audio": {"src"},
    "track": {"src"},
    "iframe": {"src"},
    "frame": {"src"},
    "embed": {"src"},
    "object": {"data"},
    "input": {"src"},
    "body": {"background"},
    "use": {"href", "xlink:href"},
    "image": {"href", "xlink:href"},
}
_ADDRESSES = frozenset({"src", "href", "poster", "data", "background", "xlink:href", "content", "value"})
_TEXTS = frozenset(
    {
        "alt",
        "class",
        "download",
        "id",
        "label",
        "lang",
        "name",
        "part",
        "placeholder",
        "role",
        "slot",
        "title",
        "type",
        "value",
    }
)
_CUSTOM_ADDRESS = re.compile(r"[^\s{}\[\]<>|\"']{0,1000}[./][^\s{}\[\]<>|\"']{0,1000}")
"""An attribute of a custom element that may be an address, such as `<search-box bundle-path="/search/">`."""
_FORM_TARGETS = {"form": "action", "button": "formaction", "input": "formaction"}
_REFRESH = re.compile(
    r"""\s*+[0-9.]*+\s*+[;,]?\s*+url\s*+=\s*+(?:"(?P<double>[^"]*)"?|'(?P<single>[^']*)'?|(?P<bare>\S(?:.*\S)?))\s*+""",
    re.IGNORECASE,
)
"""The text of `<meta http-equiv="refresh">` with an address."""
_NO_SCRIPT = ("text/template", "text/html", "text/x-")


@dataclass(slots=True)
class Tag:
    """A start tag: its name in lower case, and its attributes as (decoded value, start, end, quote)."""

    name: str
    attributes: dict[str, tuple[str, int, int, str]] = field(default_factory=dict)

    def value(self, name: str) -> str:
        return self.attributes[name][0] if name in self.attributes else ""


def html_edits(text: str, visit: Visit, *, xml: bool = False) -> list[Edit]:
    """The edits for the references of a page, or with `xml` of an SVG file, that `visit` replaces.

    References are relative to `base_address(text)`.
    """
    edits: list[Edit] = []
    for tag, start, end in parse_tags(text, xml=xml):
        edits += _attribute_edits(tag, visit)
        if start < end:
            edits += _content_edits(tag, text, start, end, visit)
    return edits


def base_address(text: str) -> str:
    """The address of the first `<base href>`; empty without one."""
    if "<base" not in text and "<BASE" not in text:
        return ""
    return next((t.value("href") for t, _, _ in parse_tags(text) if t.name == "base" and t.value("href")), "")


def parse_tags(text: str, *, xml: bool = False) -> Iterator[tuple[Tag, int, int]]:
    """Each start tag, with the range of its text if that isn't markup, as in scripts; else an empty range."""
    at = 0
    foreign = int(xml)
    while found := _MARKUP.search(text, at):
        kind = found.lastgroup
        if kind == "comment":
            at = _comment_end(text, found.end())
        elif kind == "bogus":
            is_cdata = foreign and text.startswith("[CDATA[", found.end())
            at = _after(text, "]]>" if is_cdata else ">", found.end())
        else:
            tag = Tag((found["name"] or found["end"]).lower())
            at = _parse_attributes(text, found.end(), tag)
            if kind == "end":
                foreign -= foreign > 0 and tag.name in _FOREIGN_ENDS
                continue
            # Ends with `/>`, which counts only for elements of SVG and MathML.
            is_empty = text[at - 2] == "/"
            foreign += tag.name in _FOREIGN and not is_empty
            has_text = tag.name in (_XML_RAW_TEXT if foreign else _RAW_TEXT) and not (foreign and is_empty)
            end = _raw_text_end(text, tag.name, at) if has_text else at
            yield tag, at, end
            at = end


def _comment_end(text: str, at: int) -> int:
    if text.startswith((">", "->"), at):
        return text.index(">", at) + 1
    found = _COMMENT_END.search(text, at)
    return found.end() if found else len(text)


def _after(text: str, what: str, at: int) -> int:
    found = text.find(what, at)
    return len(text) if found < 0 else found + len(what)


def _parse_attributes(text: str, at: int, tag: Tag) -> int:
    """Reads the attributes from `at`. Returns where the tag ends."""
    if text[at : at + 1] == ">":
        return at + 1
    while found := _ATTRIBUTE.match(text, at):
        at = found.end()
        if found["close"]:
            return at
        for quote, group in (('"', "double"), ("'", "single"), ("", "bare")):
            if found[group] is not None:
                start, end = found.span(group)
                decoded = html.unescape(found[group]) if "&" in found[group] else found[group]
                tag.attributes.setdefault(found["name"].lower(), (decoded, start, end, quote))
    return len(text)


def _raw_text_end(text: str, name: str, at: int) -> int:
    """Where the end tag begins. In a script, `<!-- <script>` hides the next one."""
    end_tag = re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE)
    found = end_tag.search(text, at)
    if found and name == "script" and (comment := text.find("<!--", at, found.start())) >= 0:
        nested = re.compile(r"<script(?=[\t\n\f\r />])", re.IGNORECASE).search(text, comment, found.start())
        closed = text.find("-->", comment, found.start()) >= 0
        if nested and not closed:
            found = end_tag.search(text, found.end()) or found
    return found.start() if found else len(text)


def _attribute_edits(tag: Tag, visit: Visit) -> Iterator[Edit]:
    for name, (value, start, end, quote) in tag.attributes.items():
        new = _new_value(tag, name, value, start, visit)
        if new is not None and new != value:
            yield Edit(start, end, _escaped(new, quote))


def _new_value(tag: Tag, name: str, value: str, start: int, visit: Visit) -> str | None:
    if name == "style":
        return apply_edits(value, css_edits(value, lambda f: visit(f._replace(start=start))))
    if tag.name == "meta" and name == "content" and (kind := tag.value("http-equiv").lower()):
        if kind == "content-security-policy":
            return visit(Found(Role.POLICY, value, start))
        return _new_refresh(value, start, visit) if kind == "refresh" else None
    role = _role(tag, name)
    if role is None and "-" in tag.name and not _is_text(name) and _CUSTOM_ADDRESS.fullmatch(value):
        role = Role.REFERENCE
    if role is None or not value.strip():
        return None
    if name.endswith("srcset"):
        return _new_srcset(value, role, start, visit)
    return visit(Found(Role.BASE if tag.name == "base" else role, value, start))


def _is_text(name: str) -> bool:
    """Whether an attribute of a custom element is shown, or names something, so that it isn't an address."""
    return name in _TEXTS or name.startswith("aria-")


def _new_refresh(value: str, start: int, visit: Visit) -> str | None:
    found = _REFRESH.fullmatch(value)
    if found is None or found.lastgroup is None:
        return None
    new = visit(Found(Role.LINK, found[found.lastgroup], start))
    begin, end = found.span(found.lastgroup)
    return None if new is None else value[:begin] + new + value[end:]


def _role(tag: Tag, name: str) -> str | None:
    if tag.name == "link" and name in ("href", "imagesrcset"):
        loads = not _LOADING_RELS.isdisjoint(tag.value("rel").lower().split())
        return Role.LINK if loads else Role.ADDRESS
    if _FORM_TARGETS.get(tag.name) == name:
        return Role.ADDRESS
    if name in _LINKS.get(tag.name, ()):
        return Role.LINK
    return (
        Role.REFERENCE if name in _ADDRESSES or name.startswith("data-") or name.endswith("srcset") else None
    )


_CANDIDATE = re.compile(r"([ \t\n\f\r,]*)([^ \t\n\f\r]+)((?:\([^)]*\)?|[^,(])*)")


def _new_srcset(value: str, role: str, start: int, visit: Visit) -> str:
    """The list of images with new addresses."""
    parts = []
    for before, url, after in _CANDIDATE.findall(value):
        bare = url.rstrip(",")
        commas = url[len(bare) :]
        rest = after
        if commas:  # no descriptor: what follows is the next image
            parts.append(before + (visit(Found(role, bare, start)) or bare) + commas)
            parts.append(_new_srcset(rest, role, start, visit) if rest.strip() else rest)
            continue
        parts.append(before + (visit(Found(role, url, start)) or url) + rest)
    return "".join(parts)


def _content_edits(tag: Tag, text: str, start: int, end: int, visit: Visit) -> list[Edit]:
    content = text[start:end]

    def at_offset(found: Found) -> str | None:
        return visit(found._replace(start=found.start + start))

    edits: list[Edit] = []
    if tag.name == "style":
        edits = css_edits(content, at_offset)
    elif tag.name == "script":
        kind = tag.value("type").strip().lower()
        if kind == "importmap":
            edits = json_edits(content, at_offset, Role.REFERENCE)
        elif "json" in kind:
            edits = json_edits(content, at_offset)
        elif not kind.startswith(_NO_SCRIPT):
            edits = script_edits(content, at_offset, text)
    return [Edit(each.start + start, each.end + start, each.text) for each in edits]


def _escaped(value: str, quote: str) -> str:
    """The value for an attribute with this quote. Without one, it gets quotes if it needs them."""
    escaped = value.replace("&", "&amp;")
    if quote == "'":
        return escaped.replace("'", "&#39;")
    escaped = escaped.replace('"', "&quot;")
    needs_quotes = not quote and re.search(r"[\s'=<>`]|^$|/$", escaped)
    return f'"{escaped}"' if needs_quotes else escaped
