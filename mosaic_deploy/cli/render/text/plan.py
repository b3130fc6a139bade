"""A plan for people: changes by kind with their reasons, hazards, notes, and the counts last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from mosaic_deploy.cli.render.layout import text_width, wrap
from mosaic_deploy.cli.render.text.hazards import plan_hazard_lines
from mosaic_deploy.cli.render.text.row_checks import failing_check_lines
from mosaic_deploy.cli.render.text.schema import (
    drift_lines,
    rehearsal_notes,
    rehearsed_lines,
    rehearsed_reason,
)
from mosaic_deploy.cli.render.text.storage_urls import plan_url_lines
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.diff.schema_drift import SCHEMA_DRIFT
from mosaic_deploy.model.approval import DESTRUCTIVE, sql_path
from mosaic_deploy.model.catalog import Rehearsal
from mosaic_deploy.model.change import Action, ApplyMigration, Change, Delete, Put, RunsSql
from mosaic_deploy.model.hazard import destroying_files
from mosaic_deploy.model.kind import BY_NAME
from mosaic_deploy.model.plan import CHECKS_CHANGED, CHECKS_PENDING, Note, Plan, Severity
from mosaic_deploy.model.quantities import count_text, size_text

_SIGNS = {Action.ADD: ("+", "green"), Action.CHANGE: ("~", "yellow"), Action.DESTROY: ("-", "red")}
_MAX_SHOWN = 25
"""Changes listed per heading; the rest is counted. `--output json` has all of them."""
_MAX_DESTROYED = 6
"""Destroyed database objects named in the summary."""
_MAX_NAME_WIDTH = 48
_MIN_NAME_WIDTH, _MIN_REASON_WIDTH = 16, 24
"""Cells. Longer names don't narrow the other rows' reasons; if there is no room for both, reasons are wrapped below."""
_REASONS = {"project": "(will be created)"}
"""Text for kinds whose reason says nothing that the name doesn't."""


def plan_lines(plan: Plan, width: int | None = None, target: str = "") -> Iterator[str]:
    """The whole plan as styled lines, in columns that fit `width`; the summary comes last. `target` is where it is applied."""
    if not plan.empty or plan.notes:
        yield style(_title(plan), bold=True)
        if target:
            yield f"Target: {target}"
    if not plan.empty:
        for heading, changes in groupby(
            _group_by_heading(plan.changes), key=lambda c: BY_NAME[c.kind].heading
        ):
            yield ""
            yield f"  {heading}"
            yield from _change_lines(list(changes), width, plan)
            if heading == BY_NAME["storage"].heading:
                yield from (f"      {line}" for line in plan_url_lines(plan))
    if plan.drift and plan.drift.changes:
        yield ""
        yield from drift_lines(plan.drift)
    if failing := [*failing_check_lines(plan.rehearsal.row_checks if plan.rehearsal else ())]:
        yield ""
        yield from failing
    yield from plan_hazard_lines(plan)
    # The lines above say what that note says.
    rehearsal = rehearsal_notes(plan.rehearsal, plan.drift) if plan.rehearsal else ()
    shown = (note for note in plan.notes if note.code != SCHEMA_DRIFT)
    if notes := (*shown, *rehearsal, *_approval_notes(plan)):
        yield ""
        yield from (note_line(note) for note in notes)
    if not plan.empty or plan.notes:
        yield ""
    yield summary_line(plan)
    if plan.partial:
        yield style(partial_line(plan), fg="yellow")


def summary_line(plan: Plan) -> str:
    """`Plan: 3 to add, 1 to change, 1 to destroy (table old); deletes rows of 2 tables.`, or that there is nothing to do."""
    if plan.empty and plan.partial:
        return "No changes in the selection."
    if plan.empty and any(note.code == "plan_blocked" for note in plan.notes):
        return "Nothing else would change."
    if plan.empty and any(note.code in (CHECKS_CHANGED, CHECKS_PENDING) for note in plan.notes):
        return "No changes, but the checks in verify haven't passed."
    if plan.empty and plan.drift and plan.drift.changes:
        return "No changes to deploy, but the schema drifted since the last deploy."
    if plan.empty:
        return f"No changes. {plan.project.url or plan.project.name} is up to date."
    counts = plan.counts
    text = f"Plan: {counts.add} to add, {counts.change} to change, {counts.destroy} to destroy"
    return f"{text}{_destroyed_text(plan)}{_deleted_rows_text(plan)}."


def pending_line(plan: Plan) -> str:
    """`Pending: 2 migrations, 1 other change.`, or that there is nothing to do.

    Every file and setting counts as one, as in the result of a failed apply: without a rehearsal it isn't known which objects of the
    database a migration changes.
    """
    if plan.empty:
        return summary_line(plan)
    migrations = sum(isinstance(change, ApplyMigration) for change in plan.changes)
    others = len(plan.changes) - migrations
    parts = [count_text(migrations, "migration")] if migrations else []
    if others:
        parts.append(count_text(others, "other change" if migrations else "change"))
    return f"Pending: {', '.join(parts)}."


def _destroyed_text(plan: Plan) -> str:
    """` (table old, column books.fax, 3 files)`, after a rehearsal ` (1 column, 3 files)`; "" without database objects."""
    names = list(plan.destroyed_objects)
    kinds = Counter(item.kind for item in plan.rehearsal.destroyed) if plan.rehearsal else {}
    if not names and not kinds:
        return ""
    shown = names if len(names) <= _MAX_DESTROYED else names[: _MAX_DESTROYED - 1]
    more = [f"{len(names) - len(shown)} more objects"] if len(shown) < len(names) else []
    parts = [*(_kind_text(kind, number) for kind, number in kinds.items()), *shown, *more]
    if files := sum(isinstance(change, Delete) and not change.keep for change in plan.changes):
        parts.append(count_text(files, "file"))
    return f" ({', '.join(parts)})"


def _deleted_rows_text(plan: Plan) -> str:
    """`; deletes rows of orders`, `; deletes rows of 3 tables`; "" if no SQL file deletes rows."""
    tables = plan.row_deletions
    if not tables:
        return ""
    return (
        f"; deletes rows of {_table_names(tables) if len(tables) == 1 else count_text(len(tables), 'table')}"
    )


def _kind_text(kind: str, number: int) -> str:
    """`1 index`, `2 indexes`"""
    plural = {"index": "indexes", "policy": "policies", "statistics": "statistics"}.get(kind, f"{kind}s")
    return f"{number:,} {kind if number == 1 else plural}"


def partial_line(plan: Plan) -> str:
    """`Partial plan: 12 changes left out by --only.`"""
    options = " and ".join(
        name for name, given in (("--only", plan.only), ("--except", plan.excluded)) if given
    )
    return f"Partial plan: {count_text(len(plan.left_out), 'change')} left out by {options}."


def _approval_notes(plan: Plan) -> Iterator[Note]:
    """What must be approved, with the option; destroying data is among the hazards."""
    for approval in plan.approvals:
        if approval.kind != DESTRUCTIVE:
            message = f"{approval.effect}; needs --allow {approval.allow}"
            yield Note(f"to_{approval.kind}", message, Severity.WARNING)


def _title(plan: Plan) -> str:
    project = plan.project
    name = f"{project.name} ({project.id})" if project.id else f"{project.name} (new project)"
    environment = f", environment {plan.environment}" if plan.environment else ""
    return f"{name}{environment}{'  ' + project.url if project.url else ''}"


def _group_by_heading(changes: tuple[Change, ...]) -> list[Change]:
    """In order of first appearance, so that each heading comes once."""
    order = {heading: n for n, heading in enumerate(dict.fromkeys(BY_NAME[c.kind].heading for c in changes))}
    return sorted(changes, key=lambda c: order[BY_NAME[c.kind].heading])


def _sign(
    change: Change, destructive_files: frozenset[str], rehearsal: Rehearsal, migrations: str
) -> tuple[str, str]:
    """A file that drops objects is shown as destroying, and one that destroys rows or values as changing, in red."""
    if isinstance(change, RunsSql):
        done = rehearsal.of(change.address)
        dropped = {one.object for one in done.changes if one.counts_as == "drop"} if done else set()
        if change.destroys or not dropped.isdisjoint(rehearsal.destroyed):
            return _SIGNS[Action.DESTROY]
        if sql_path(change, migrations) in destructive_files:
            return ("~", "red")
    return _SIGNS[change.action]


def _change_lines(changes: list[Change], width: int | None, plan: Plan) -> Iterator[str]:
    destructive_files, rehearsal = destroying_files(plan.hazards), plan.rehearsal or Rehearsal()
    shown = changes if len(changes) <= _MAX_SHOWN + 1 else changes[:_MAX_SHOWN]
    names = [_name(change) for change in shown]
    name_width = min(_MAX_NAME_WIDTH, max(text_width(name) for name in names))
    sized = any(isinstance(change, Put) for change in shown)
    indent = 6 + name_width + 2 + (11 if sized else 0)
    if width is not None and (lacking := _MIN_REASON_WIDTH - (width - indent)) > 0:
        name_width = name_width - lacking if name_width - lacking >= _MIN_NAME_WIDTH else 0
        indent = indent - lacking if name_width else 8
    for change, name in zip(shown, names, strict=True):
        sign, color = _sign(change, destructive_files, rehearsal, plan.migrations)
        size = f"{size_text(change.size) if isinstance(change, Put) else '':>9}  " if sized else ""
        padding = " " * (name_width - text_width(name))
        line = f"    {sign} {name}{padding}  {size}{_reason(change, rehearsal)}"
        yield from (style(part, fg=color) for part in wrap(line.rstrip(), width, indent))
        if isinstance(change, RunsSql):
            for verb, tables in (("deletes", change.deletes), ("updates", change.updates)):
                if tables:
                    yield from wrap(f"        {verb} rows of {_table_names(tables)}", width, 10)
        if done := rehearsal.of(change.address):
            yield from rehearsed_lines(done, rehearsal, width)
    if rest := changes[len(shown) :]:
        total = sum(change.size for change in rest if isinstance(change, Put))
        sizes = f" ({size_text(total)})" if total else ""
        yield f"    … and {len(rest)} more{sizes}; --output json lists all"


def _table_names(tables: Sequence[str]) -> str:
    return ", ".join(one.removeprefix("public.") for one in tables)


def _reason(change: Change, rehearsal: Rehearsal) -> str:
    """What a rehearsal saw replaces the words that describe a migration's statements."""
    if isinstance(change, ApplyMigration) and change.reason in (change.summary, "pending"):
        return rehearsed_reason(rehearsal, change.address) or change.reason
    return _REASONS.get(change.kind, change.reason)


def _name(change: Change) -> str:
    kind, _, name = change.address.partition(":")
    shown = name.encode("unicode_escape").decode() if not name.isprintable() else name
    return f"extension {shown}" if kind == "extension" else shown


def note_line(note: Note) -> str:
    """A warning behind `!`, anything else behind `i`."""
    if note.severity is Severity.WARNING:
        return style(f"  ! {note.message}", fg="yellow")
    return f"  i {note.message}"
