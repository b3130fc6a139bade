"""White space and comments between tokens, as PostgreSQL's scanner sees them."""

from __future__ import annotations

import re

WHITESPACE = " \t\n\r\f\v"
"""White space for PostgreSQL's scanner. A no-break space, for example, is part of a name."""
_TRIVIA = re.compile(rf"(?:[{WHITESPACE}]|--[^\n\r]*){{1,1000}}")
_COMMENT_MARK = re.compile(r"/\*|\*/")


def repeated_end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where the pattern doesn't match any more, if it is matched again and again from `at` on.

    For patterns of up to a thousand tokens. Without a bound, a match would keep memory for each. A possessive group
    keeps none, but before Python 3.11.5 it ends in wrong places (https://github.com/python/cpython/issues/106052).
    """
    while found := pattern.match(text, at):
        at = found.end()
    return at


def leading_trivia_length(text: str) -> int:
    """The number of characters of white space and (nested) comments at the start of `text`."""
    return skip_trivia(text, 0)


def skip_trivia(text: str, at: int) -> int:
    """The first offset from `at` on that is neither white space nor comment."""
    while at < len(text):
        if blank := _TRIVIA.match(text, at):
            at = blank.end()
        elif text.startswith("/*", at):
            end = after_block_comment(text, at)
            at = len(text) if end is None else end
        else:
            return at
    return at


def end_of_trivia_without_blocks(text: str, at: int) -> int:
    """The first offset from `at` on that is neither white space nor in a line comment."""
    return repeated_end(_TRIVIA, text, at)


def after_block_comment(text: str, at: int) -> int | None:
    """The offset after the (nested) block comment at `at`; None if it is unterminated."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return None
