"""Changes of a database's schema as text: those of a draft, of a rehearsal, and drift."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.cli.render.layout import wrap
from mosaic_deploy.cli.render.text.locks import lock_lines
from mosaic_deploy.cli.render.text.row_checks import row_check_notes
from mosaic_deploy.cli.render.text.table_writes import write_lines
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.diff.schema_drift import HOW_TO_KEEP
from mosaic_deploy.model.catalog import (
    Rehearsal,
    RehearsedChange,
    SchemaChange,
    SchemaDrift,
    SchemaState,
)
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import age_text, count_text, duration_text

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "drop": ("-", "red")}
_MAX_SHOWN = 25
_MAX_BODY = 20
"""Lines of a definition."""
_MAX_DIFFERENCES, _MAX_NOTICES = 5, 5


def schema_change_line(change: SchemaChange) -> str:
    """`+ column books.sneaky integer`, `- table old`"""
    sign, color = _SIGNS[change.action]
    return f"{style(sign, fg=color)} {change.summary}"


def _grouped_line(change: SchemaChange) -> str:
    """`orders: + column channel text NOT NULL`: parts of a table behind its name."""
    part = change.object
    if not part.parent or part.kind == "comment":
        return schema_change_line(change)
    sign, color = _SIGNS[change.action]
    kind = "grant to" if part.kind == "grant" else part.kind
    text = f"{kind} {part.name} {change.definition}".rstrip()
    return f"{part.parent}: {style(sign, fg=color)} {text}"


def rehearsed_lines(done: RehearsedChange, rehearsal: Rehearsal, width: int | None) -> Iterator[str]:
    """What a migration changed and locked in the rehearsal, and PostgreSQL's notices, indented below it."""
    for change in done.changes[:_MAX_SHOWN]:
        size = rehearsal.size_of(change.object) if change.action == "drop" else None
        known = f" ({size.text})" if size and size.text else ""
        yield from wrap(f"        {_grouped_line(change)}{known}", width, 12)
    if len(done.changes) > _MAX_SHOWN:
        yield f"        … and {len(done.changes) - _MAX_SHOWN} more; --output json lists all"
    for line in (*write_lines(done, rehearsal), *lock_lines(done, rehearsal)):
        yield from wrap(f"        {line}", width, 12)
    for notice in done.notices[:_MAX_NOTICES]:
        # A line break in it may not begin what looks like a line of the plan.
        for line in notice.splitlines():
            yield from wrap(f"        {line}", width, 12)
    if len(done.notices) > _MAX_NOTICES:
        yield f"        … and {count_text(len(done.notices) - _MAX_NOTICES, 'more notice')}"


def rehearsed_reason(rehearsal: Rehearsal, address: str) -> str:
    """`2 schema changes`, or with which file those of this change of the plan are shown; "" if it wasn't rehearsed."""
    done = rehearsal.of(address)
    if done is None:
        with_last = next((each.addresses[-1] for each in rehearsal.done if address in each.addresses), "")
        return f"shown with {with_last.partition(':')[2]}" if with_last else ""
    return count_text(len(done.changes), "schema change") if done.changes else "no schema changes"


def rehearsal_notes(rehearsal: Rehearsal) -> Iterator[Note]:
    """How the plan was rehearsed, or why it wasn't."""
    if rehearsal.not_rehearsed:
        shown = [
            f"{_SIGNS[each.action][0]} {each.summary}" for each in rehearsal.differences[:_MAX_DIFFERENCES]
        ]
        if more := len(rehearsal.differences) - len(shown):
            shown.append(f"and {more} more")
        severity = Severity.WARNING if shown else Severity.INFO
        details = f": {'; '.join(shown)}. Undo them in the database; or {HOW_TO_KEEP}" if shown else ""
        yield Note("not_rehearsed", f"not rehearsed: {rehearsal.not_rehearsed}{details}", severity)
        return
    seconds = sum(each.seconds for each in rehearsal.done)
    files = count_text(sum(len(each.addresses) for each in rehearsal.done), "file")
    where = "on the live schema without its rows" if rehearsal.live_server else "on an empty database"
    yield Note(
        "rehearsed",
        f"rehearsed {files} in {duration_text(seconds)} on PostgreSQL {rehearsal.server}, {where}",
    )
    if count := rehearsal.unmade_checks:
        checks = (
            f"{count_text(count, 'check')} in the migrations {'was' if count == 1 else 'were'} not made there"
        )
        yield Note("checks_not_made", f"{checks}, as it has no live rows")
    yield from (Note("rehearsal_differs", remark) for remark in rehearsal.remarks)
    yield from row_check_notes(rehearsal.row_checks)


def drift_lines(drift: SchemaDrift, *, whole: bool = False) -> Iterator[str]:
    """A heading, and a line for each difference.

    `whole`: all of them, and how definitions with a body differ. A plan leaves these out, because it may be published.
    """
    most = None if whole else _MAX_SHOWN
    yield "  Schema drift since the last deploy"
    for change in drift.changes[:most]:
        yield f"    {schema_change_line(change)}"
        if whole and change.has_body:
            yield from (f"        {line}" for line in _body_lines(change))
    if most is not None and len(drift.changes) > most:
        yield f"    … and {len(drift.changes) - most} more; --output json lists all"
    if drift.truncated:
        yield "    … and more, which weren't read"


def _body_lines(change: SchemaChange) -> Iterator[str]:
    """The lines of a definition with a body that differ, as a diff: `-   SELECT id`. A new or dropped one has them all."""
    from difflib import unified_diff

    before, after = ((text or "").splitlines() for text in (change.before, change.after))
    changed = list(unified_diff(before, after, n=0, lineterm=""))[2:]
    lines = [line for line in changed if not line.startswith("@@")]
    for line in lines[:_MAX_BODY]:
        yield style(f"{line[0]} {line[1:]}", fg="green" if line[0] == "+" else "red")
    if len(lines) > _MAX_BODY:
        yield f"… and {count_text(len(lines) - _MAX_BODY, 'more line')}; --output json has the whole definitions"


def drift_summary(drift: SchemaDrift) -> str:
    """`as the last deploy left it`, or how much it differs."""
    if drift.state is SchemaState.UNCHANGED:
        return "as the last deploy left it"
    if drift.state is SchemaState.DRIFTED:
        differences = count_text(len(drift.changes), "difference")
        return f"drifted: {differences} since the deploy {age_text(drift.recorded_at)}"
    return drift.message
