"""Errors for people: where, what, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from mosaic_deploy.errors import Location, MosaicError, Problem
from mosaic_deploy.model.quantities import count_text

if TYPE_CHECKING:
    from mosaic_deploy.model.event import ApplyFailed

_MUTATION_STATES = {
    "committed": "everything before it is applied and kept",
    "partial": "what was done so far is applied and kept",
    "unknown": "whether the last step took effect, or a part of it, isn't known",
}


def _colored(color: str) -> Callable[[str], str]:
    return lambda line: click.style(line, fg=color)


_DIFF_STYLES: dict[str, Callable[[str], str]] = {"+": _colored("green"), "-": _colored("red")}


def error_lines(error: MosaicError) -> Iterator[str]:
    named = error.location is not None and error.location.file in error.message
    where = f"{error.location}: " if error.location and not named else ""
    label = click.style(f"error[{error.code}]", fg="red", bold=True)
    yield f"{label}: {where}{error.message}"
    if error.location:
        yield from _source_lines(error.location)
    for problem in error.problems:
        yield str(problem)
        yield from _source_lines(problem.location)
        yield from _hint_and_diff_lines(problem)
    yield from _database_lines(error)
    if error.mutation_state in _MUTATION_STATES:
        yield f"  state: {_MUTATION_STATES[error.mutation_state]}"
    if error.hint:
        yield f"  hint: {error.hint}"
    for action in error.next_actions:
        whose = " (yours to decide)" if action.needs_person else ""
        yield f"  next: {action.description}{whose}" + (f":  {action.command}" if action.command else "")


def failure_lines(failed: ApplyFailed) -> Iterator[str]:
    """What was done, what failed, what remains."""
    yield f"Stopped after {failed.seconds:.1f} s: {progress_text(failed)}."
    if failed.failed:
        yield click.style(f"  failed: {failed.failed}", fg="red")


def progress_text(failed: ApplyFailed) -> str:
    """`3 of 5 changes done`: of all that the plan has, the one that failed included."""
    total = len(failed.done) + len(failed.remaining) + (failed.failed is not None)
    return (
        f"{len(failed.done):,} of {count_text(total, 'change')} done"
        if total
        else "there was nothing to change"
    )


def _source_lines(location: Location) -> Iterator[str]:
    """The offending line with a caret below it; long lines are cut around the place."""
    if location.text is None or location.line is None:
        return
    column = location.column or 1
    start = max(0, column - 80)
    text = location.text[start : start + 120].replace("\t", " ")
    number = f"{location.line:>5}"
    yield f"{number} | {text}"
    if location.column:
        caret = click.style("^", fg="red", bold=True)
        yield f"{'':5} | {' ' * (column - start - 1)}{caret}"


def _hint_and_diff_lines(problem: Problem) -> Iterator[str]:
    """A hint's lines after the first, which stands beside the problem, and the difference."""
    for line in (problem.hint or "").split("\n")[1:]:
        yield f"{'':5} | {line}"
    for line in (problem.diff or "").splitlines():
        yield f"{'':5} | {_DIFF_STYLES.get(line[:1], str)(line)}"


def _database_lines(error: MosaicError) -> Iterator[str]:
    for name, label in (("sqlstate", "SQLSTATE"), ("detail", "detail"), ("pg_hint", "PostgreSQL's hint")):
        value = getattr(error, name, None)
        if value:
            yield f"  {label}: {value}"
    request_id = getattr(error, "request_id", None)
    if request_id:
        yield f"  request: {request_id}"
