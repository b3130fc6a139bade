"""Turns PyYAML's syntax errors into messages for people. Imported only for an error."""

from __future__ import annotations

import json
import re
from typing import Any

from yaml import YAMLError

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.text import NESTED_DEFAULT, SourceText

# (words in the error of libyaml or of PyYAML's own parser, message, hint, whether to point at the start of the broken
# construct). The first row whose words all occur applies.
_MESSAGES: tuple[tuple[tuple[str, ...], str, str, bool], ...] = (
    (("tab character",), "tabs can't be used for indentation in YAML", "use spaces", False),
    (("mapping values are not allowed",), "unexpected second `:`",
     "quote the value, or put the key on its own line with the indentation of the lines around it", False),
    (("entries are not allowed",), "a list item can't start here", "put each `- item` on its own line", False),
    (("quoted scalar", "end of stream"), "unclosed quote", "close the quote that starts here", True),
    (("quoted scalar", "document indicator"), "unclosed quote", "close the quote that starts here", True),
    (("unknown escape character",), "unknown escape sequence",
     "write \\\\ for a backslash, or use single quotes", False),
    (("invalid Unicode character escape",), "surrogate escapes aren't characters in YAML", "write the character itself", False),
    (("escape",), "invalid escape sequence", "write \\\\ for a backslash, or use single quotes", False),
    (("flow sequence",), "unclosed list, or a comma is missing", "check the list that starts here, and its `]`", True),
    (("flow mapping",), "unclosed map, or a comma is missing", "check the map that starts here, and its `}`", True),
    (("block scalar",), "only a line break may follow | or >", "put the text on the next line, indented", False),
    (("expected ':'",), "a key without `:`", "write `key: value`", False),
    (("expected key",), "unexpected indentation or text", "indent it like the lines around it, or quote a value that contains quotes", False),
    (("block mapping",), "unexpected indentation or text", "indent it like the lines around it, or quote a value that contains quotes", False),
    (("block collection",), "expected a list item", "start it with `- `", False),
    (("block sequence",), "expected a list item", "start it with `- `", False),
    (("undefined alias",), "undefined alias", "define the anchor first with &name", False),
    (("directive",), "unsupported YAML directive", "delete the line that starts with %", False),
    (("YAML document",), "unsupported YAML version; only 1.1 and 1.2 are", "delete the %YAML line", False),
    (("document start",), "text after the end of the document", "write everything as one map of fields", False),
    (("anchor",), "anchor or alias without a name", "quote values that start with & or *", False),
    (("alias",), "anchor or alias without a name", "quote values that start with & or *", False),
    (("tag",), "invalid tag", "quote values that start with !", False),
    (("node content",), "expected a value", "quote it if it is text", False),
)  # fmt: skip


_REFERENCE = re.compile(r"\$\{[^}\n]*\}")
_END_OF_TEXT = re.compile(r"[^\s,\[\]{}\"']+$")
_BRACKETS = re.compile(r"(?:\[[^\[\]{}\n\"']*\]|\{[^\[\]{}\n\"']*\}|[^\s,\[\]{}\"':])+")


def syntax_problem(source: SourceText, error: YAMLError) -> Problem:
    """The Problem for a syntax error, located where it can be fixed."""
    raised: Any = error
    context, words = (str(getattr(raised, name, None) or "") for name in ("context", "problem"))
    mark = getattr(raised, "problem_mark", None) or getattr(raised, "context_mark", None)
    if mark is None:
        return Problem(
            "invalid YAML", source.location(1, 1), hint="check the file in an editor with YAML support"
        )
    if "cannot start any token" in words:
        return _invalid_start(source, mark)
    if source.text[max(0, mark.index - 1) : mark.index + 1] == "${":
        return _unquoted_variable(source, mark)
    if "flow" in context and (text := _text_with_brackets(source.text, mark.index)):
        location = source.location(mark.line + 1, mark.column + 1)
        message = f"text with {source.text[mark.index]} must be quoted inside {{ }} and [ ]"
        return Problem(message, location, hint=f'quote it: "{text}"')
    for needles, message, hint, at_begin in _MESSAGES:
        if all(needle in f"{context} {words}" for needle in needles):
            place = (raised.context_mark or mark) if at_begin else mark
            return Problem(message, source.location(place.line + 1, place.column + 1), hint=hint)
    return Problem("invalid YAML", source.location(mark.line + 1, mark.column + 1), hint=words or None)


def _unquoted_variable(source: SourceText, mark: Any) -> Problem:
    """Inside { } or [ ], the brace of an unquoted ${NAME} starts a map."""
    reference = _REFERENCE.match(source.text, mark.index - 1)
    shown = reference.group() if reference else "${NAME}"
    location = source.location(mark.line + 1, mark.column)
    if "${" in shown[2:]:
        message, hint = NESTED_DEFAULT
        return Problem(message, location, hint=hint)
    return Problem(
        f"{shown} must be quoted inside {{ }} and [ ]",
        location,
        hint=f"quote the whole value, for example: {json.dumps(shown, ensure_ascii=False)}",
    )


def _text_with_brackets(text: str, index: int) -> str | None:
    """The plain text around the bracket at `index`, such as `a.b[0]`; None if a list or map starts there."""
    before = _END_OF_TEXT.search(text[max(0, index - 200) : index])
    after = _BRACKETS.match(text, index) if text[index : index + 1] in ("[", "{") else None
    if before is None or after is None or before[0].endswith(":"):
        return None
    return before[0] + after[0]


def _invalid_start(source: SourceText, mark: Any) -> Problem:
    location = source.location(mark.line + 1, mark.column + 1)
    character = source.text[mark.index : mark.index + 1]
    if character == "\t":
        return Problem("tabs can't be used for indentation in YAML", location, hint="use spaces")
    return Problem(f"a value can't start with {character}", location, hint="quote it")
