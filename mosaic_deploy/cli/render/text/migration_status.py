"""Migrations and their standing, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.model.migration_status import Entry, Line, Standing

_COLORS = {Standing.APPLIED: "green", Standing.PENDING: "yellow", Standing.REFORMATTED: "yellow"}
_WIDEST = 60


def history_lines(lines: Sequence[Line]) -> Iterator[str]:
    """A table, below it what can be put right and how, and a count of each standing."""
    if not lines:
        yield "There are no migrations."
        return
    version = max(len(line.version) for line in lines)
    file = min(_WIDEST, max(len(line.file) for line in lines))
    for line in lines:
        shown = standing_text(line)
        yield (
            f"{line.version:>{version}}  {line.file:<{file}}  "
            + click.style(shown, fg=_COLORS.get(line.standing, "red"))
            + _origin(line)
        )
    yield from way_lines(lines)
    counts = Counter(line.standing for line in lines)
    yield ", ".join(f"{counts[standing]} {standing}" for standing in Standing if counts[standing]) + "."


def repair_lines(lines: Sequence[Line]) -> Iterator[str]:
    """What can be put right, and how."""
    if lines:
        yield from list(way_lines(lines))[1:-1]
    else:
        yield "Nothing to repair: folder and history agree."


def way_lines(lines: Sequence[Line]) -> Iterator[str]:
    """For each migration with which something is wrong: what, and the commands that put it right."""
    for line in lines:
        if line.ways:
            yield ""
            yield f"{line.file}: {standing_text(line)}"
            if line.entry and line.entry.cause and line.standing in (Standing.FAILED, Standing.UNKNOWN):
                yield f"  {line.entry.cause}"
            yield from (f"  {way.description}:  {way.command}" for way in line.ways)
    if any(line.ways for line in lines):
        yield ""


def standing_text(line: Line) -> str:
    """The standing in words."""
    if line.standing is Standing.REFORMATTED:
        return "applied; edited since, in comments or layout only"
    if line.standing is Standing.MISSING:
        return "applied, but no longer in the folder"
    if line.entry and line.standing not in (Standing.APPLIED, Standing.PENDING):
        return _parts_text(line.standing, line.entry)
    return f"{line.standing} as {line.applied_as}" if line.applied_as else str(line.standing)


def _parts_text(standing: Standing, entry: Entry) -> str:
    """Of a file whose parts have to be told apart."""
    row = entry.migration
    attempt = f"part {abs(entry.attempt)} of {row.units}"
    if standing is Standing.EDITED:
        return (
            f"edited after {'' if row.applied else f'part {row.units_done} of {row.units} of '}it was applied"
        )
    if standing is Standing.FAILED:
        return f"{attempt} failed; the next apply begins it anew"
    if standing is Standing.UNKNOWN:
        return f"{attempt} was begun, and its end isn't known"
    return f"part {row.units_done} of {row.units} applied"


def _origin(line: Line) -> str:
    if line.entry is None:
        return ""
    origin = "" if line.entry.origin == "apply" else f", {line.entry.origin}"
    return f"  {line.entry.at[:19].replace('T', ' ')} by {line.entry.by}{origin}"
