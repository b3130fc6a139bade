"""PyYAML's syntax errors in plain words. Loaded only when there is one."""

from __future__ import annotations

import re
from typing import Any

from yaml import YAMLError

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.text import SourceText

# Words of libyaml or of PyYAML's own parser -> what to tell; the first row whose words are all there counts.
# "begin" points at where the broken construct begins, which is where the mistake is.
_MESSAGES: tuple[tuple[tuple[str, ...], str, str, bool], ...] = (
    (("tab character",), "a tab is not indentation in YAML", "use spaces", False),
    (("mapping values are not allowed",), "a second `:` where one value is expected",
     "quote the value, or put the key on a line of its own, indented like its neighbours", False),
    (("entries are not allowed",), "a list item can't begin here", "put each `- item` on its own line", False),
    (("quoted scalar", "end of stream"), "the quote that begins here is never closed", "close it", True),
    (("quoted scalar", "document indicator"), "the quote that begins here is never closed", "close it", True),
    (("unknown escape character",), "an unknown escape after the backslash",
     "write \\\\ for a backslash, or use single quotes", False),
    (("invalid Unicode character escape",), "a surrogate escape is no character in YAML", "write the character itself", False),
    (("escape",), "an escape that is no character", "write \\\\ for a backslash, or use single quotes", False),
    (("flow sequence",), "the list that begins here is never closed, or a comma is missing in it", "check for `]`", True),
    (("flow mapping",), "the map that begins here is never closed, or a comma is missing in it", "check for `}`", True),
    (("block scalar",), "after | or > only a line break may come", "put the text on the next line, indented", False),
    (("expected ':'",), "a key without its `:`", "write `key: value`", False),
    (("expected key",), "this doesn't fit what is above it", "indent it like its neighbours, or quote a value that has quotes inside", False),
    (("block mapping",), "this doesn't fit what is above it", "indent it like its neighbours, or quote a value that has quotes inside", False),
    (("block collection",), "a list item is expected here", "begin it with `- `", False),
    (("block sequence",), "a list item is expected here", "begin it with `- `", False),
    (("undefined alias",), "no anchor of this name above", "define it first with &name", False),
    (("directive",), "a line that begins with % is a YAML directive", "delete it", False),
    (("YAML document",), "only YAML 1.1 and 1.2 are read", "delete the %YAML line", False),
    (("document start",), "the document ended above this", "write everything as one map of fields", False),
    (("anchor",), "an anchor or alias without a name", "quote a value that begins with & or *", False),
    (("alias",), "an anchor or alias without a name", "quote a value that begins with & or *", False),
    (("tag",), "a tag that can't be read", "quote a value that begins with !", False),
    (("node content",), "a value is expected here", "quote it if it is meant as text", False),
)  # fmt: skip


_NAME = re.compile(r"\$\{[^}\n]*\}")


def syntax_problem(source: SourceText, error: YAMLError) -> Problem:
    """The Problem that stands for a syntax error, at the place where the user can mend it."""
    raised: Any = error
    context, words = (str(getattr(raised, name, None) or "") for name in ("context", "problem"))
    mark = getattr(raised, "problem_mark", None) or getattr(raised, "context_mark", None)
    if mark is None:
        return Problem("this is not YAML", source.location(1, 1), hint="check the file with a YAML editor")
    if "cannot start any token" in words:
        return _invalid_start(source, mark)
    if source.text[max(0, mark.index - 1) : mark.index + 1] == "${":
        return _unquoted_variable(source, mark)
    for needles, message, hint, at_begin in _MESSAGES:
        if all(needle in f"{context} {words}" for needle in needles):
            place = (raised.context_mark or mark) if at_begin else mark
            return Problem(message, source.location(place.line + 1, place.column + 1), hint=hint)
    return Problem("this is not YAML", source.location(mark.line + 1, mark.column + 1), hint=words or None)


def _unquoted_variable(source: SourceText, mark: Any) -> Problem:
    """Between { } or [ ] the brace of an unquoted ${NAME} begins a map."""
    name = _NAME.match(source.text, mark.index - 1)
    shown = name.group() if name else "${NAME}"
    where = source.location(mark.line + 1, mark.column)
    return Problem(
        f"{shown} must be quoted between {{ }} and [ ]",
        where,
        hint=f'put the whole value into quotes, such as "{shown}"',
    )


def _invalid_start(source: SourceText, mark: Any) -> Problem:
    where = source.location(mark.line + 1, mark.column + 1)
    character = source.text[mark.index : mark.index + 1]
    if character == "\t":
        return Problem("a tab is not indentation in YAML", where, hint="use spaces")
    return Problem(f"a value can't begin with {character}", where, hint="quote it")
