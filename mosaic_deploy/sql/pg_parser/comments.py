"""Refuses comments deep inside each other: the parser's time grows with the square of their depth."""

from __future__ import annotations

import re

from mosaic_deploy.sql.pg_parser.quotes import PLAIN_DOLLAR, PLAIN_STRING, after_quote
from mosaic_deploy.sql.pg_parser.trivia import repeated_end


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
