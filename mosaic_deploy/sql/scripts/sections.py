"""The up and down sections of a file, as dbmate, goose, sql-migrate, node-pg-migrate and tern mark them.

The markers are line comments. A file has those of one tool, or none: then all of it is the up section.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mosaic_deploy.sql.parse import line_and_column, parse
from mosaic_deploy.sql.scripts.mistakes import Mistake, ScriptInvalid
from mosaic_deploy.sql.scripts.other_marks import looks_marked_otherwise, other_down_mark
from mosaic_deploy.sql.scripts.scan import Span, scan
from mosaic_deploy.sql.scripts.section_marks import (
    NODE_PG_MIGRATE,
    Mark,
    find_marks,
    looks_marked,
)

UP, DOWN = "up", "down"
_COMMENT_LINE = re.compile(r"(?:^|(?<=\r))[ \t]*(--[^\r\n]*)", re.MULTILINE)
_NO_TRANSACTION = re.compile(r"(-- no-transaction)|(?:(?:--! .*)?\n)*(--! no-transaction)\b")
"""What sqlx and graphile-migrate read at the start of a file."""
_MARKS_TWICE = "sql-migrate"
"""The tool that joins several sections of one direction."""


@dataclass(frozen=True, slots=True)
class Section:
    """`text` is the file with everything outside the section replaced by spaces, so offsets stay the same.

    `mark` is the marker as written, "" for a file without markers. `no_transaction` is what turns transactions off, as written.
    """

    text: str
    mark: str = ""
    no_transaction: str = ""


def up_section(text: str) -> Section:
    """Raises ScriptInvalid for markers that the tool wouldn't accept or that would skip a statement, SqlSyntaxError."""
    marks = _marks(text)
    found = _section(text, marks, UP) or Section(text)
    at_start = _NO_TRANSACTION.match(text)
    return replace(found, no_transaction=at_start[1] or at_start[2]) if at_start else found


def down_section(text: str) -> Section | None:
    """None if the file has none. Raises the same errors as `up_section`."""
    return _section(text, _marks(text), DOWN)


def _marks(text: str) -> list[Mark]:
    """The file's markers in order, checked; [] if it has none."""
    marks = find_marks(text, _comments(text)) if looks_marked(text) else []
    if all(mark.direction != DOWN for mark in marks) and looks_marked_otherwise(text):
        _refuse_other_marks(text)
    if not marks:
        return []
    _refuse_two_tools(text, marks)
    if wrong := [mark.mistake for mark in marks if mark.mistake]:
        raise ScriptInvalid(wrong)
    return _checked(text, marks)


def _refuse_other_marks(text: str) -> None:
    found = scan(text)
    comments = _comments(text) if found.unterminated is not None else [*found.comments, *found.blocks]
    if mistake := other_down_mark(text, comments):
        raise ScriptInvalid([mistake])


def _comments(text: str) -> list[Span]:
    """The line comments; if a quote has no end, all lines that look like one, as the tools themselves read them."""
    found = scan(text)
    if found.unterminated is None:
        return found.comments
    return [Span(line.start(1), line.end()) for line in _COMMENT_LINE.finditer(text)]


def _refuse_two_tools(text: str, marks: Sequence[Mark]) -> None:
    first = marks[0]
    for mark in marks:
        if mark.tool != first.tool:
            line, _, _ = line_and_column(text, first.start)
            raise _invalid(
                mark,
                f"{mark.text} is a marker of {mark.tool}, but line {line} has one of {first.tool} ({first.text})",
                "use the markers of one tool",
            )


def _checked(text: str, marks: list[Mark]) -> list[Mark]:
    directions = [mark for mark in marks if mark.direction]
    up = next((mark for mark in directions if mark.direction == UP), None)
    if up is None:
        return _without_up(text, marks, directions)
    for direction in (UP, DOWN):
        same = [mark for mark in directions if mark.direction == direction]
        if len(same) > 1 and same[0].tool != _MARKS_TWICE:
            line, _, _ = line_and_column(text, same[0].start)
            raise _invalid(
                same[1], f"{same[1].text} is in the file twice, first in line {line}", "remove one"
            )
    first = directions[0].start
    if outside := parse(text[:first]):
        message = f"this statement is before {directions[0].text} and would be skipped"
        raise ScriptInvalid([Mistake(message, outside[0].offset)])
    return marks


def _without_up(text: str, marks: list[Mark], directions: Sequence[Mark]) -> list[Mark]:
    mark = directions[0] if directions else marks[0]
    if mark.implies_up:
        return [Mark(mark.tool, UP, 0, 0, mark.text), *marks]
    if mark.tool == NODE_PG_MIGRATE and not mark.is_exact:
        return []  # a remark: also node-pg-migrate runs the whole file
    if mark.tool == NODE_PG_MIGRATE and not parse(text[mark.end :]):
        return []
    written = {"dbmate": "-- migrate:up", NODE_PG_MIGRATE: "-- Up Migration"}
    up = written.get(mark.tool, f"-- +{'goose' if mark.tool == 'goose' else 'migrate'} Up")
    raise _invalid(mark, f"{mark.text} without a {up} section")


def _section(text: str, marks: Sequence[Mark], direction: str) -> Section | None:
    directions = [mark for mark in marks if mark.direction]
    first = next((mark for mark in directions if mark.direction == direction), None)
    if first is None:
        return None
    ends = [*(mark.start for mark in directions[1:]), len(text)]
    spans = [(m.end, end) for m, end in zip(directions, ends, strict=True) if m.direction == direction]
    pieces, at = [], 0
    for start, end in spans:
        pieces += [_blank(text[at:start]), text[start:end]]
        at = end
    off = next(
        (
            mark.no_transaction
            for mark in marks
            if mark.no_transaction
            and (mark.direction == direction if mark.direction else mark.whole_file or _inside(mark, spans))
        ),
        "",
    )
    found = "".join([*pieces, _blank(text[at:])])
    for mark in marks:
        if not mark.direction:
            found = found[: mark.start] + " " * (mark.end - mark.start) + found[mark.end :]
    return Section(found, first.text, off)


def _inside(mark: Mark, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= mark.start < end for start, end in spans)


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


def _invalid(mark: Mark, message: str, hint: str | None = None) -> ScriptInvalid:
    return ScriptInvalid([Mistake(message, mark.start, hint)])
