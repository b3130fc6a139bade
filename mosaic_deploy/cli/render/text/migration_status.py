"""Migrations and their standing, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.model.migration_status import HistoryEntry, MigrationState, MigrationStatus

_COLORS = {
    MigrationState.APPLIED: "green",
    MigrationState.PENDING: "yellow",
    MigrationState.REFORMATTED: "yellow",
}
_MAX_WIDTH = 60


def history_lines(lines: Sequence[MigrationStatus]) -> Iterator[str]:
    """A table, below it what can be put right and how, and a count of each standing."""
    if not lines:
        yield "There are no migrations."
        return
    version = max(len(line.version) for line in lines)
    file = min(_MAX_WIDTH, max(len(line.file) for line in lines))
    for line in lines:
        shown = status_text(line)
        yield (
            f"{line.version:>{version}}  {line.file:<{file}}  "
            + click.style(shown, fg=_COLORS.get(line.state, "red"))
            + _origin(line)
        )
    yield from fix_lines(lines)
    counts = Counter(line.state for line in lines)
    yield ", ".join(f"{counts[standing]} {standing}" for standing in MigrationState if counts[standing]) + "."


def repair_lines(lines: Sequence[MigrationStatus]) -> Iterator[str]:
    """What can be put right, and how."""
    if lines:
        yield from list(fix_lines(lines))[1:-1]
    else:
        yield "Nothing to repair: folder and history agree."


def fix_lines(lines: Sequence[MigrationStatus]) -> Iterator[str]:
    """For each migration with which something is wrong: what, and the commands that put it right."""
    for line in lines:
        if line.next_actions:
            yield ""
            yield f"{line.file}: {status_text(line)}"
            if (
                line.entry
                and line.entry.cause
                and line.state in (MigrationState.FAILED, MigrationState.UNKNOWN)
            ):
                yield f"  {line.entry.cause}"
            yield from (f"  {way.description}:  {way.command}" for way in line.next_actions)
    if any(line.next_actions for line in lines):
        yield ""


def status_text(line: MigrationStatus) -> str:
    """The standing in words."""
    if line.state is MigrationState.REFORMATTED:
        return "applied; edited since, in comments or layout only"
    if line.state is MigrationState.MISSING:
        return "applied, but no longer in the folder"
    if line.entry and line.state not in (MigrationState.APPLIED, MigrationState.PENDING):
        return _units_text(line.state, line.entry)
    return f"{line.state} as {line.applied_as}" if line.applied_as else str(line.state)


def _units_text(standing: MigrationState, entry: HistoryEntry) -> str:
    """Of a file whose parts have to be told apart."""
    row = entry.migration
    attempt = f"part {abs(entry.attempt)} of {row.units}"
    if standing is MigrationState.EDITED:
        return (
            f"edited after {'' if row.applied else f'part {row.units_done} of {row.units} of '}it was applied"
        )
    if standing is MigrationState.FAILED:
        return f"{attempt} failed; the next apply begins it anew"
    if standing is MigrationState.UNKNOWN:
        return f"{attempt} was begun, and its end isn't known"
    return f"part {row.units_done} of {row.units} applied"


def _origin(line: MigrationStatus) -> str:
    if line.entry is None:
        return ""
    origin = "" if line.entry.origin == "apply" else f", {line.entry.origin}"
    return f"  {line.entry.at[:19].replace('T', ' ')} by {line.entry.by}{origin}"
