"""What a draft of a migration does, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli.render.documents import hazard_document
from mosaic_deploy.cli.render.text.edits import clock, elapsed
from mosaic_deploy.cli.render.text.hazards import severity_text
from mosaic_deploy.model.catalog import SchemaChange

if TYPE_CHECKING:
    from mosaic_deploy.deploy.draft import DraftResult

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "drop": ("-", "red")}
_MAX_CHANGES = 40
_MAX_WIDTH = 100
"""Characters of a definition; of a longer one the beginning is shown."""
DRAFT_EXPLANATION = (
    "         Apps see a copy of the database with the draft in it; the database itself stays as it is.",
    "         What they write goes with the draft's next save, and when it is sealed or this ends.",
)


def draft_document(path: str, database: str, drafted: DraftResult, seconds: float) -> dict[str, Any]:
    return {
        "type": "draft",
        "path": path,
        "database": database,
        "milliseconds": round(seconds * 1000),
        "changes": [_change_document(change) for change in drafted.changes],
        "hazards": [hazard_document(hazard) for hazard in drafted.hazards],
    }


def _change_document(change: SchemaChange) -> dict[str, Any]:
    part = change.object
    return {
        "action": change.action,
        "kind": part.kind,
        "name": part.name,
        "of": part.parent or None,
        "before": change.before,
        "after": change.after,
    }


def draft_lines(path: str, drafted: DraftResult, seconds: float, *, first: bool) -> Iterator[str]:
    """The line, the schema's differences, and what would hurt; the `first` one says what a draft is."""
    said = f"{len(drafted.changes)} difference{'' if len(drafted.changes) == 1 else 's'}"
    yield f"{clock()} {path} → drafted in {elapsed(seconds)}, {said if drafted.changes else 'no difference'}"
    yield from (_change_line(change) for change in drafted.changes[:_MAX_CHANGES])
    if len(drafted.changes) > _MAX_CHANGES:
        yield f"         … and {len(drafted.changes) - _MAX_CHANGES} more; --output ndjson has all"
    for hazard in drafted.hazards:
        if not hazard.ignored:
            yield f"         {severity_text(hazard)} {hazard.location}: {hazard.message}  [{hazard.code}]"
    if first:
        yield from DRAFT_EXPLANATION


def _change_line(change: SchemaChange) -> str:
    sign, color = _SIGNS[change.action]
    told = f"{change.object}"
    if change.before is None or change.after is None:
        definition = change.after if change.action == "add" else ""
    elif "\n" in change.before + change.after or len(change.before + change.after) > _MAX_WIDTH:
        definition = ""
    else:
        definition = f"{change.before or 'nothing'} → {change.after or 'nothing'}"
    text = f"{told} {_one_line(definition or '')}".rstrip()
    return f"         {click.style(sign, fg=color)} {text}"


def _one_line(definition: str) -> str:
    """One line of what PostgreSQL writes; of a routine's text its name alone says enough."""
    if "\n" in definition:
        return ""
    return definition if len(definition) <= _MAX_WIDTH else definition[: _MAX_WIDTH - 1] + "…"
