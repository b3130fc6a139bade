"""Finds down sections that are marked in the way of a tool which isn't read: rambler, micrate, MyBatis, Play and others.

Run as they are, such files would undo what they just did.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.scripts.mistakes import Mistake
from mosaic_deploy.sql.scripts.scan import Span

_MARK = r"^[ \t]*--[^\w\r\n]*?(?:(?P<tool>\w+)[ \t]+)?[^\w\r\n]*(?P<word>{})(?:[ \t]+migration)?[^\w\n]*$"
_UP = re.compile(_MARK.format("ups?|do|apply|deploy|migrate"), re.IGNORECASE | re.MULTILINE)
_DOWN = re.compile(_MARK.format("downs?|undo|revert|rollback"), re.IGNORECASE | re.MULTILINE)
_ALONE = re.compile(r"[@!]\s*(?:down|undo|rollback)", re.IGNORECASE)
"""What no remark looks like, so it needs no mark of the up section."""


def looks_marked_otherwise(text: str) -> bool:
    """Whether the text may have such a mark, wherever it is written."""
    return _DOWN.search(text) is not None


def other_down_mark(text: str, comments: Sequence[Span]) -> Mistake | None:
    """A comment that begins a down section with statements: one of a pair like `-- up` and `-- down`, or `-- @UNDO`."""
    lines = [(comment.start, text[comment.start : comment.end].rstrip()) for comment in comments]
    tools = {found["tool"] for _, line in lines if (found := _UP.match(line))}
    for start, line in lines:
        found = _DOWN.match(line)
        if found and (found["tool"] in tools or _ALONE.search(line)) and parse(text[start:]):
            message = f"{line} looks like the down section of another tool, but the whole file would run"
            hint = "mark the sections with -- migrate:up and -- migrate:down, or reword the comment"
            return Mistake(message, start, hint)
    return None
