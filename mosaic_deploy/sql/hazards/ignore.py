"""Comments `-- mosaic-ignore: RULE REASON`: what they silence, and the findings about misused ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from mosaic_deploy.sql.hazards.rules.rule import FROM_REHEARSALS, Finding
from mosaic_deploy.sql.parse import Statement

_COMMENT = re.compile(
    r"^[ \t]*(--[ \t]*mosaic-ignore\b[ \t]*:?[ \t]*([^\s:]*)[ \t]*(.*?))[ \t\r]*$", re.MULTILINE
)
_SECTION = re.compile(r"^[ \t]*--[ \t]*migrate:(up|down)\b", re.MULTILINE)


@dataclass(slots=True)
class IgnoreComment:
    """One comment; `offset` is its position in the file in characters."""

    rule: str
    reason: str
    offset: int
    used: bool = False


@dataclass(slots=True)
class IgnoreComments:
    """The comments of one file. Call `before_statement` for its statements in order."""

    text: str
    comments: list[IgnoreComment] = field(default_factory=list)
    _end: int = 0
    _has_comments: bool = field(init=False)

    def __post_init__(self) -> None:
        self._has_comments = "mosaic-ignore" in self.text

    def before_statement(self, statement: Statement) -> list[IgnoreComment]:
        """The comments between the previous statement and this one."""
        start, self._end = self._end, statement.offset + len(statement.text)
        return self._find_between(start, statement.offset)

    def after_last_statement(self) -> list[IgnoreComment]:
        """The comments after the last statement."""
        return self._find_between(self._end, len(self.text))

    def findings(self, known: Collection[str], *, unused: bool) -> Iterator[tuple[str, Finding, int]]:
        """(code, finding, offset) for every comment with an unknown rule, without a reason, or without effect."""
        for ignore in self.comments:
            if ignore.rule not in known:
                close = get_close_matches(ignore.rule, known, 1)
                suggestion = f"; did you mean {close[0]}?" if close else ""
                what = f"mosaic-ignore names an unknown rule: {ignore.rule}{suggestion}"
                if not ignore.rule:
                    what = "mosaic-ignore names no rule"
                yield "ignore_unknown", Finding(what, ignore.rule), ignore.offset
            elif not ignore.reason:
                what = f"mosaic-ignore for {ignore.rule} has no reason, so it has no effect"
                yield "ignore_without_reason", Finding(what, ignore.rule), ignore.offset
            elif unused and not ignore.used and ignore.rule not in FROM_REHEARSALS:
                what = f"mosaic-ignore for {ignore.rule} silences nothing"
                yield "ignore_unused", Finding(what, ignore.rule), ignore.offset

    def _find_between(self, start: int, end: int) -> list[IgnoreComment]:
        if not self._has_comments:
            return []
        for mark in _SECTION.finditer(self.text, start, end):
            if mark.group(1) == "up":
                start = mark.end()
            elif mark.start() > start:
                end = mark.start()
                break
        here = [
            IgnoreComment(comment.group(2), comment.group(3), comment.start(1))
            for comment in _COMMENT.finditer(self.text, start, end)
        ]
        self.comments += here
        return here


def ignore_reason(ignores: list[IgnoreComment], code: str) -> str:
    """The reason of the comment that silences the rule, "" if none does. Marks the comment as used."""
    for ignore in ignores:
        if ignore.rule == code and ignore.reason:
            ignore.used = True
            return ignore.reason
    return ""
