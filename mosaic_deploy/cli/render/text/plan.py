"""A plan that people can read at a glance: by kind, what and why, hazards as notes, counts last."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import click

from mosaic_deploy.cli.render.text.hazards import plan_hazard_lines
from mosaic_deploy.model.change import Action, Change, Put
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.quantities import size_text

_SIGNS = {Action.ADD: ("+", "green"), Action.CHANGE: ("~", "yellow"), Action.DESTROY: ("-", "red")}
_HEADINGS = {
    "project": "Project",
    "extension": "Database",
    "migration": "Database",
    "rollback": "Database",
    "seed": "Database",
    "history": "History",
    "storage": "Storage",
    "static": "Static files",
    "auth": "Sign-in",
}
_MAX_SHOWN = 25
"""Changes of one heading that are shown one by one; the rest is counted. `--output json` has them all."""
_MAX_WIDTH = 48


def plan_lines(plan: Plan) -> Iterator[str]:
    """The whole plan as lines, styled; the summary last, and below it that it isn't everything."""
    if not plan.empty:
        yield click.style(_title(plan), bold=True)
        for heading, changes in groupby(_group_by_heading(plan.changes), key=lambda c: _HEADINGS[c.kind]):
            yield ""
            yield f"  {heading}"
            yield from _change_lines(list(changes))
    yield from plan_hazard_lines(plan)
    if notes := (*plan.notes, *_prune_notes(plan)):
        yield ""
        yield from (note_line(note) for note in notes)
    if not plan.empty or plan.notes:
        yield ""
    yield summary_line(plan)
    if plan.partial:
        yield click.style(partial_line(plan), fg="yellow")


def summary_line(plan: Plan) -> str:
    """`Plan: 3 to add, 1 to change, 0 to destroy.`, or that there is nothing to do."""
    if plan.empty and plan.partial:
        return "No changes in what was selected."
    if plan.empty:
        return f"No changes. {plan.project.url or plan.project.name} is up to date."
    counts = plan.counts
    return f"Plan: {counts.add} to add, {counts.change} to change, {counts.destroy} to destroy."


def partial_line(plan: Plan) -> str:
    """`Partial plan: 12 changes left out by --only.`"""
    options = " and ".join(
        name for name, given in (("--only", plan.only), ("--except", plan.excluded)) if given
    )
    count = len(plan.left_out)
    return f"Partial plan: {count} {'change' if count == 1 else 'changes'} left out by {options}."


def _prune_notes(plan: Plan) -> Iterator[Note]:
    if count := plan.prune_count:
        files = "1 file is" if count == 1 else f"{count} files are"
        message = f"{files} deleted, also ones never deployed from here: needs --allow prune={count}"
        yield Note("to_prune", message, Severity.WARNING)


def _title(plan: Plan) -> str:
    project = plan.project
    name = f"{project.name} ({project.id})" if project.id else f"{project.name} (new project)"
    environment = f", environment {plan.environment}" if plan.environment else ""
    return f"{name}{environment}{'  ' + project.url if project.url else ''}"


def _group_by_heading(changes: tuple[Change, ...]) -> list[Change]:
    """By heading, in order of first appearance, so that each heading comes once."""
    order = {heading: n for n, heading in enumerate(dict.fromkeys(_HEADINGS[c.kind] for c in changes))}
    return sorted(changes, key=lambda c: order[_HEADINGS[c.kind]])


def _change_lines(changes: list[Change]) -> Iterator[str]:
    shown = changes if len(changes) <= _MAX_SHOWN + 1 else changes[:_MAX_SHOWN]
    names = [_name(change) for change in shown]
    width = min(_MAX_WIDTH, max(len(name) for name in names))
    sized = any(isinstance(change, Put) for change in shown)
    for change, name in zip(shown, names, strict=True):
        sign, color = _SIGNS[change.action]
        size = f"{size_text(change.size) if isinstance(change, Put) else '':>9}  " if sized else ""
        line = f"    {sign} {name:<{width}}  {size}{change.reason}"
        yield click.style(line.rstrip(), fg=color)
    if rest := changes[len(shown) :]:
        total = sum(change.size for change in rest if isinstance(change, Put))
        yield f"    … and {len(rest)} more ({size_text(total)})"


def _name(change: Change) -> str:
    kind, _, name = change.address.partition(":")
    shown = name.encode("unicode_escape").decode() if not name.isprintable() else name
    return f"extension {shown}" if kind == "extension" else shown


def note_line(note: Note) -> str:
    """A warning behind `!`, anything else behind `i`."""
    if note.severity is Severity.WARNING:
        return click.style(f"  ! {note.message}", fg="yellow")
    return f"  i {note.message}"
