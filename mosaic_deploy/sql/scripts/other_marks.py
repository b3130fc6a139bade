"""Recognizes the down sections of tools whose markers aren't read: rambler, micrate, MyBatis, Play, yoyo and more.

Run as they are, such files would undo what they just did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mosaic_deploy.sql.parse import SqlSyntaxError, parse
from mosaic_deploy.sql.scripts.mistakes import Mistake
from mosaic_deploy.sql.scripts.scan import Span
from mosaic_deploy.sql.scripts.section_marks import with_lf

_UP_WORDS = "ups?|do|apply|deploy|migrate|forwards?|step|upgrade"
_DOWN_WORDS = "downs?|undo|revert|rollback|backwards?|reverse|downgrade"
_MARK = re.compile(
    rf"(?:--|/\*)[^\w\n]*(?:(?P<tool>\w+)[ \t:][^\w\n]*)?(?:(?P<up>{_UP_WORDS})|(?P<down>{_DOWN_WORDS}))"
    r"(?:[ \t]+(?:migration|script|start|begin|section))?(?:[^\w\n]*|[ \t]*:(?P<title>.*))",
    re.IGNORECASE,
)
_TERN = r"create\s+above\s*/\s*drop\s+below\b"
_ALONE = re.compile(rf"[@!]\s*(?:down|undo|rollback)|{_TERN}", re.IGNORECASE)
"""What no remark looks like, so it needs no mark of the up section."""
_LOOKS_MARKED = re.compile(
    rf"^[^\w\n]*(?:\w+[ \t:][^\w\n]*)?(?:{_DOWN_WORDS})(?!\w)|{_TERN}", re.IGNORECASE | re.MULTILINE
)


class _OtherMark(NamedTuple):
    start: int
    text: str
    tool: str
    is_down: bool
    has_title: bool
    is_alone: bool


def looks_marked_otherwise(text: str) -> bool:
    """Whether the text may have such a mark, wherever it is written."""
    return _LOOKS_MARKED.search(with_lf(text)) is not None


def other_down_mark(text: str, comments: Sequence[Span]) -> Mistake | None:
    """A comment that begins a down section with statements: one of a pair like `-- up` and `-- down`, or `-- @UNDO`.

    Of a pair with titles, such as `-- UP: people`, both have statements: those of a file's summary have none.
    """
    marks = list(_marks(text, comments))
    for mark in marks:
        if (
            mark.is_down
            and (mark.is_alone or _has_up(text, marks, mark))
            and _has_statements(text[mark.start :])
        ):
            message = f"{mark.text} looks like the down section of another tool, but the whole file would run"
            hint = "mark the sections with -- migrate:up and -- migrate:down, or reword the comment"
            return Mistake(message, mark.start, hint)
    return None


def _has_up(text: str, marks: Sequence[_OtherMark], down: _OtherMark) -> bool:
    for number, up in enumerate(marks):
        if not up.is_down and up.tool == down.tool:
            end = marks[number + 1].start if number + 1 < len(marks) else len(text)
            if not (up.has_title or down.has_title) or _has_statements(text[up.start : end]):
                return True
    return False


def _marks(text: str, comments: Sequence[Span]) -> Iterator[_OtherMark]:
    for comment in sorted(comments, key=lambda one: one.start):
        line = " ".join(text[comment.start : comment.end].split())
        found = _MARK.fullmatch(line)
        alone = _ALONE.search(line) is not None
        is_block = line.startswith("/*")
        if (found is None and not alone) or (is_block and not _is_alone_on_its_lines(text, comment)):
            continue
        tool = (found["tool"] or "").lower() if found else ""
        is_down = alone or (found is not None and found["down"] is not None)
        yield _OtherMark(comment.start, line, tool, is_down, bool(found and found["title"]), alone)


def _is_alone_on_its_lines(text: str, comment: Span) -> bool:
    before, behind = text[: comment.start].rpartition("\n")[2], text[comment.end :].partition("\n")[0]
    return not before.strip() and not behind.strip()


def _has_statements(text: str) -> bool:
    try:
        return bool(parse(text))
    except SqlSyntaxError:
        return True
