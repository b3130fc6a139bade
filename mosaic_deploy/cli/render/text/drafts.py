"""A draft of a migration: the schema changes it makes and its hazards, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mosaic_deploy.cli.render.json_documents import hazard_document
from mosaic_deploy.cli.render.schema_documents import schema_change_document
from mosaic_deploy.cli.render.text.edits import clock
from mosaic_deploy.cli.render.text.hazards import severity_text
from mosaic_deploy.cli.render.text.schema import schema_change_line
from mosaic_deploy.model.quantities import count_text, duration_text

if TYPE_CHECKING:
    from mosaic_deploy.deploy.draft import DraftResult

_MAX_CHANGES = 40
DRAFT_EXPLANATION = (
    "         Your app now uses a copy of the database with this draft; the real one is unchanged.",
    "         Data written to the copy is discarded when you save or commit the draft, or stop this command.",
)


def draft_document(path: str, database: str, drafted: DraftResult, seconds: float) -> dict[str, Any]:
    return {
        "type": "draft",
        "path": path,
        "database": database,
        "milliseconds": round(seconds * 1000),
        "changes": [schema_change_document(change) for change in drafted.changes],
        "hazards": [hazard_document(hazard) for hazard in drafted.hazards],
    }


def draft_lines(path: str, drafted: DraftResult, seconds: float, *, first: bool) -> Iterator[str]:
    """The summary, the schema changes and the hazards; below the `first` draft, what a draft is."""
    changes = drafted.changes
    count = count_text(len(changes), "schema change") if changes else "no schema changes"
    yield f"{clock()} {path} → draft applied to a copy in {duration_text(seconds)}, {count}"
    yield from (f"         {schema_change_line(change)}" for change in changes[:_MAX_CHANGES])
    if len(changes) > _MAX_CHANGES:
        yield f"         … and {len(changes) - _MAX_CHANGES} more; --output ndjson lists all"
    for hazard in drafted.hazards:
        if not hazard.ignored:
            yield f"         {severity_text(hazard)} {hazard.location}: {hazard.message}  [{hazard.code}]"
    if first:
        yield from DRAFT_EXPLANATION
