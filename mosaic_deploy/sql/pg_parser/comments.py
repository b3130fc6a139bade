"""Comments that the parser can't take.

Its time grows with the square of the depth of comments inside each other, so deep ones are refused. And it knows no
comments where PostgreSQL's scanner looks ahead, such as between the parts of a string or in NOT IN and NULLS FIRST; there
it is given spaces.
"""

from __future__ import annotations

import re

from mosaic_deploy.sql.pg_parser.quotes import PLAIN_DOLLAR, PLAIN_STRING, after_quote
from mosaic_deploy.sql.pg_parser.trivia import WHITESPACE, after_block_comment, repeated_end, skip_trivia


class ParserError(Exception):
    """The parser's error. `position` counts characters from 1; None if the parser gave none.

    `body_line`: the line of a PL/pgSQL body at or after which it is; None for other errors.
    """

    def __init__(self, message: str, position: int | None, body_line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.body_line = body_line


_MANY = 1000
_DEEPEST = 100
_MARK = re.compile(r"/\*|\*/")
_PLAIN = re.compile(
    rf"""(?:[^'"$/-]+|{PLAIN_STRING}|"[^"]*"|-(?!-)|--[^\n\r]*|/(?!\*)|{PLAIN_DOLLAR}){{1,1000}}"""
)


def refuse_deep_comments(sql: str, *, in_bodies: bool = False) -> None:
    """Raises ParserError. What is in dollar quotes is no comment, except `in_bodies`."""
    if sql.count("/*") < _MANY:
        return
    at = 0
    while (at := repeated_end(_PLAIN, sql, at)) < len(sql):
        if sql.startswith("/*", at):
            at = _after_comment(sql, at)
        elif sql[at] == "$" and in_bodies:
            at += 1
        elif (end := after_quote(sql, at)) is not None:
            at = end
        else:
            return  # a quote without an end, which the parser reports


def _after_comment(sql: str, start: int) -> int:
    depth = 0
    for mark in _MARK.finditer(sql, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
        if depth > _DEEPEST:
            raise ParserError(f"more than {_DEEPEST} comments inside each other", start + 1)
    return len(sql)


_CODE = re.compile(rf"""(?:[^'"$/-]+|{PLAIN_STRING}|"[^"]*"|-(?!-)|/(?!\*)|{PLAIN_DOLLAR}){{1,1000}}""")
_LINE_COMMENT = re.compile(r"--[^\n\r]*")
_PART_OR_COMMENT = re.compile(r"'[^'\\]*(?:\\.[^'\\]*)*'|--[^\n\r]*", re.DOTALL)
_NO_LINE_END = re.compile(r"[^\n\r]+")


def without_comments(sql: str, *, in_bodies: bool = False) -> str:
    """With as many spaces as a comment has bytes in its place; line ends stay. What isn't terminated stays, too.

    So does a block comment between two strings: without it, the second would be a part of the first. Dollar quotes stay
    as they are, except `in_bodies`: then one is code, and the dollar quotes in it stay.
    """
    parts: list[str] = []
    at = trivia_end = 0
    after_string = keeps_blocks = False
    while at < len(sql):
        end = repeated_end(_CODE, sql, at)
        parts.append(sql[at:end])
        if code := sql[at:end].rstrip(WHITESPACE):
            after_string = code.endswith("'")
        if end == len(sql):
            return "".join(parts)
        if sql.startswith(("--", "/*"), end) and end >= trivia_end:
            trivia_end = skip_trivia(sql, end)
            keeps_blocks = after_string and sql.startswith("'", trivia_end)
        found = _without_comment(sql, end, in_bodies=in_bodies, keeps_blocks=keeps_blocks)
        if found is None:
            return "".join((*parts, sql[end:]))
        text, at = found
        if end >= trivia_end:
            after_string = text.endswith("'")
        parts.append(text)
    return "".join(parts)


def _without_comment(sql: str, at: int, *, in_bodies: bool, keeps_blocks: bool) -> tuple[str, int] | None:
    """In place of the comment or quote at `at`, and the offset after it; None if it isn't terminated."""
    if found := _LINE_COMMENT.match(sql, at):
        return _blank(found.group()), found.end()
    is_comment = sql.startswith("/*", at)
    end = after_block_comment(sql, at) if is_comment else after_quote(sql, at)
    if end is None:
        return None
    text = sql[at:end]
    if is_comment:
        return text if keeps_blocks else _blank(text), end
    if text.startswith("'"):
        # A string with escapes, all parts of it.
        return _PART_OR_COMMENT.sub(lambda part: _blank_if_comment(part.group()), text), end
    if in_bodies and text.startswith("$"):
        mark = text[: text.index("$", 1) + 1]
        return f"{mark}{without_comments(text[len(mark) : -len(mark)])}{mark}", end
    return text, end


def _blank_if_comment(text: str) -> str:
    return text if text.startswith("'") else _blank(text)


def _blank(comment: str) -> str:
    return _NO_LINE_END.sub(lambda line: " " * len(line.group().encode()), comment)
