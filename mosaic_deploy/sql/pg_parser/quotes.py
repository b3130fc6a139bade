"""Strings, quoted names and dollar quotes, as PostgreSQL's scanner sees them."""

from __future__ import annotations

import re

from mosaic_deploy.sql.pg_parser.trivia import end_of_trivia_without_blocks

NAME_START = r"A-Za-z_\x80-\U0010ffff"
"""What a name may begin with, for a class of characters. All that isn't ASCII counts, also signs and digits."""
NAME_PART = rf"{NAME_START}0-9$"
DOLLAR_TAG = rf"\$(?:[{NAME_START}][{NAME_START}0-9]*)?\$"
PLAIN_DOLLAR = rf"(?:(?<=[{NAME_PART}])\$|(?!{DOLLAR_TAG})\$)"
"""A dollar sign in a name, or one that begins no dollar quote."""
PLAIN_STRING = rf"(?:(?<![eE])|(?<=[{NAME_PART}][eE]))'[^']*'"
"""A string, or a part of one, in which a backslash is a character like others."""

_DOLLAR_TAG = re.compile(DOLLAR_TAG)
_ESCAPE_PREFIX = re.compile(rf"(?<![{NAME_PART}])[eE]'")
_QUOTE_OR_ESCAPED = re.compile(r"\\.|'", re.DOTALL)


def after_quote(text: str, at: int) -> int | None:
    """The offset after the string, quoted name or dollar quote at `at`; None if it has no end or none begins there."""
    if text.startswith("'", at) and at and _ESCAPE_PREFIX.match(text, at - 1):
        return _after_string_with_escapes(text, at)
    if text.startswith(("'", '"'), at):
        return _after_mark(text, text[at], at + 1)
    tag = _DOLLAR_TAG.match(text, at)
    return _after_mark(text, tag.group(), tag.end()) if tag else None


def _after_mark(text: str, mark: str, at: int) -> int | None:
    end = text.find(mark, at)
    return None if end < 0 else end + len(mark)


def _after_string_with_escapes(text: str, at: int) -> int | None:
    """After all parts of it: in those that follow on other lines, backslashes are escapes, too."""
    start: int | None = at
    while start is not None:
        end = _after_part_with_escapes(text, start + 1)
        if end is None:
            return None
        at, start = end, _next_part(text, end)
    return at


def _after_part_with_escapes(text: str, at: int) -> int | None:
    found = (mark.end() for mark in _QUOTE_OR_ESCAPED.finditer(text, at) if mark.group() == "'")
    return next(found, None)


def _next_part(text: str, at: int) -> int | None:
    """Where the string goes on that a quote ended at `at`: at a second quote, or at one on a later line."""
    end = end_of_trivia_without_blocks(text, at)
    is_next = text.startswith("'", end) and (end == at or re.search(r"[\n\r]", text[at:end]))
    return end if is_next else None
