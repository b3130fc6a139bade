"""What PostgreSQL reported: notices, as psql shows them, and the rows and times of migrations."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.event import ChangeDone, SqlNotice
from mosaic_deploy.model.quantities import count_text, duration_text

_MAX_NOTICES = 20
"""Notices of one step that are shown."""
_MAX_TABLES = 8
"""Tables of one step that are shown."""


def notice_lines(notice: SqlNotice) -> Iterator[str]:
    """`NOTICE: text`, and its detail and hint below."""
    first, *more = notice.message.splitlines() or [""]
    yield f"{notice.severity}: {first}"
    for line in more:
        yield f"  {line}"
    for name, text in (("detail", notice.detail), ("hint", notice.hint)):
        for number, line in enumerate((text or "").splitlines()):
            yield f"    {line}" if number else f"  {name}: {line}"


def report_lines(event: ChangeDone) -> Iterator[str]:
    """What a migration did: rows, the time of each step if there are several, what changed in tables that held rows, notices."""
    done_before = event.change.steps_done if isinstance(event.change, ApplyMigration) else 0
    total = done_before + len(event.steps)
    for number, step in enumerate(event.steps, done_before + 1):
        facts = [f"{count_text(count, 'row')} {verb}" for verb, count in step.rows.items()]
        if total > 1:
            facts.insert(0, f"step {number} of {total} in {duration_text(step.seconds or 0.0)}")
        if facts:
            yield ", ".join(facts)
        tables = [table for table in step.tables if table.kinds or table.rows_moved]
        yield from (table.text for table in tables[:_MAX_TABLES])
        if len(tables) > _MAX_TABLES:
            yield f"… and {count_text(len(tables) - _MAX_TABLES, 'more table')} (all of them: -o json)"
        for notice in step.notices[:_MAX_NOTICES]:
            yield from notice_lines(notice)
        if len(step.notices) > _MAX_NOTICES:
            yield f"… and {count_text(len(step.notices) - _MAX_NOTICES, 'more notice')} (all of them: -o json)"
