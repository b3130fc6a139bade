"""Errors for people: what failed, where, why, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.errors import Location, MosaicError, Problem
from mosaic_deploy.model.quantities import duration_text

if TYPE_CHECKING:
    from mosaic_deploy.model.event import ApplyFailed

_MUTATION_STATES = {
    "committed": "everything before it was applied and is kept",
    "partial": "changes that are done and steps that are committed are kept",
    "unknown": "it isn't known whether the last step took effect",
}
_MAX_LISTED, _FIRST_LISTED = 10, 3
"""With more problems of one kind, only the first ones are listed and the others are counted."""
_MAX_DONE = 3
"""Changes that are done, named after a failure; more are only counted."""
_MAX_PROBLEMS = 50
"""At most this many problems are listed, also if each differs from the others."""
_VARYING = re.compile(r"\b([0-9a-fA-F]{8,}|[0-9a-fA-F-]{36}|(?=[\w+/=-]*[0-9])[\w+/=-]{12,}|[0-9]+)\b")
"""Request IDs, digests and numbers in messages."""
_GUTTER = 8
"""Cells before a source line: its number and ` | `."""
_MAX_SOURCE = 1000
"""Characters of a source line that are shown in a pipe; minified files have lines of megabytes."""


def _colored(color: str) -> Callable[[str], str]:
    return lambda line: style(line, fg=color)


_DIFF_STYLES: dict[str, Callable[[str], str]] = {"+": _colored("green"), "-": _colored("red")}


def error_lines(error: MosaicError, width: int | None = None) -> Iterator[str]:
    """The lines of an error, not wrapped yet; source lines are excerpts that fit `width`."""
    named = error.location is not None and error.location.file in error.message
    where = f"{error.location}: " if error.location and not named else ""
    label = style(f"error[{error.code}]", fg="red", bold=True)
    yield f"{label}: {where}{error.message}"
    if error.location:
        yield from source_lines(error.location, width)
    yield from _problem_lines(error.problems, width)
    yield from _database_lines(error)
    if error.mutation_state in _MUTATION_STATES:
        yield f"  state: {_MUTATION_STATES[error.mutation_state]}"
    if error.hint:
        yield f"  hint: {error.hint}"
    for action in error.next_actions:
        label = "your decision" if action.needs_person else "next"
        yield f"  {label}: {action.description}" + (f":  {action.command}" if action.command else "")


def _problem_lines(problems: Sequence[Problem], width: int | None) -> Iterator[str]:
    listed = left = 0
    for group in _group_problems(problems):
        shown = group if len(group) <= _MAX_LISTED else group[:_FIRST_LISTED]
        if listed and listed + len(shown) > _MAX_PROBLEMS:
            left += len(group)
            continue
        listed += len(shown)
        for problem in shown:
            yield str(problem)
            yield from source_lines(problem.location, width)
            yield from _hint_and_diff_lines(problem)
        if rest := len(group) - len(shown):
            yield f"  … and {rest:,} more like these; --output json lists all"
    if left:
        yield f"  … and {left:,} more; --output json lists all"


def _group_problems(problems: Sequence[Problem]) -> list[list[Problem]]:
    """Problems that differ only in their places, names and numbers together, in order of the first of each group."""
    groups: dict[tuple[str | None, ...], list[Problem]] = {}
    for number, problem in enumerate(problems):
        names = problem.location.file, PurePosixPath(problem.location.file).name
        message, hint = _without_names(problem.message, names), _without_names(problem.hint or "", names)
        # A diff is about one file, and has to be seen.
        key = (problem.code, problem.field, message, hint, str(number) if problem.diff else None)
        groups.setdefault(key, []).append(problem)
    return list(groups.values())


def _without_names(text: str, names: Sequence[str]) -> str:
    for name in names:
        text = text.replace(name, "…") if name else text
    return _VARYING.sub("…", text)


def failure_lines(failed: ApplyFailed) -> Iterator[str]:
    """`Stopped after 3 min 20 s: 3 of 5 changes done.`, the changes that are done if they are few, and the one that failed."""
    if failed.done or failed.remaining or failed.failed:
        yield f"Stopped after {duration_text(failed.seconds)}: {progress_text(failed)}."
    elif failed.error.code == "verify_failed":
        yield f"Checks failed after {duration_text(failed.seconds)}."
    else:
        yield f"Stopped after {duration_text(failed.seconds)}."
    if 0 < len(failed.done) <= _MAX_DONE:
        yield f"  done: {', '.join(failed.done)}"
    if failed.failed:
        yield style(f"  failed: {failed.failed}", fg="red")


def progress_text(failed: ApplyFailed) -> str:
    """`3 of 5 changes done`; the change that failed counts among the 5."""
    total = len(failed.done) + len(failed.remaining) + (failed.failed is not None)
    if not total:
        return "no changes to make"
    noun = "change" if len(failed.done) == total == 1 else "changes"
    return f"{len(failed.done):,} of {total:,} {noun} done"


def source_lines(location: Location, width: int | None) -> Iterator[str]:
    """The source line with a caret below the column; `…` marks where a long line is cut."""
    if location.text is None or location.line is None:
        return
    column = location.column or 1
    room = _MAX_SOURCE if width is None else max(12, width - _GUTTER - 1)
    line = location.text.replace("\t", " ")
    text, caret = _excerpt(line, min(column - 1, len(line)), room)
    yield f"{location.line:>5} | {text}"
    if location.column:
        yield f"{'':5} | {' ' * caret}{style('^', fg='red', bold=True)}"


def _excerpt(text: str, position: int, room: int) -> tuple[str, int]:
    """At most `room` characters of `text` around `position`, and where that is in them."""
    if len(text) <= room:
        return text, position
    start = min(max(0, position - room * 2 // 3), len(text) - room)
    shown = text[start : start + room]
    before, after = start > 0, start + room < len(text)
    return f"{'…' if before else shown[0]}{shown[1:-1]}{'…' if after else shown[-1]}", position - start


def _hint_and_diff_lines(problem: Problem) -> Iterator[str]:
    """A hint's lines after the first, which is part of the problem's own line, and the diff."""
    for line in (problem.hint or "").split("\n")[1:]:
        yield f"{'':5} | {line}"
    for line in (problem.diff or "").splitlines():
        yield f"{'':5} | {_DIFF_STYLES.get(line[:1], str)(line)}"


def _database_lines(error: MosaicError) -> Iterator[str]:
    for name, label in (("sqlstate", "SQLSTATE"), ("detail", "detail"), ("pg_hint", "PostgreSQL's hint")):
        value = getattr(error, name, None)
        if value:
            yield f"  {label}: {value}"
    for number, call in enumerate(getattr(error, "calls", ())):
        yield f"  {'called from' if number else 'in'}: {call}"
    yield from (f"  {notice}" for notice in getattr(error, "notices", ()))
    request_id = getattr(error, "request_id", None)
    if request_id:
        yield f"  request: {request_id}"
