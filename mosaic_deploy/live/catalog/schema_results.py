"""What a rehearsal's steps leave of the schema, as an apply compares it, and the differences that it reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mosaic_deploy.model.catalog import Rehearsal, SchemaObject
from mosaic_deploy.model.effects import StepTouches
from mosaic_deploy.sql.guard.rehearsed import object_id, text_digest
from mosaic_deploy.sql.guard.schema_result import INVALID


def digest_of(definition: str) -> str:
    return text_digest(definition.encode())


def has_version(item: SchemaObject) -> bool:
    """Whether its definition depends on what is installed on the server: an extension, and its comment."""
    return item.kind == "extension" or (item.kind == "comment" and item.name.startswith("extension "))


def is_unfinished(item: SchemaObject, definition: str) -> bool:
    """Whether it is what a failed CREATE INDEX CONCURRENTLY leaves."""
    return item.kind == "index" and definition.endswith(INVALID)


def step_result(step: StepTouches) -> Mapping[str, str] | None:
    """What the step must have left, by `object_id`; None if that isn't known."""
    return None if step.leaves is None else {object_id(*key): digest for key, digest in step.leaves.items()}


def net_result(rehearsal: Rehearsal) -> Mapping[str, str] | None:
    """What all steps must have left together; None if that isn't known."""
    found: dict[str, str] = {}
    for step in rehearsal.steps:
        found |= step_result(step) or {}
    return found if rehearsal.steps and rehearsal.steps[-1].leaves is not None else None


def result_differences(found: object) -> tuple[str, ...]:
    """`+ column t.zz`: what a comparison reports, an array of an `object_id`, whether it was to exist, and whether it exists.

    Of what was added or dropped as a whole, only that. Nothing for another value.
    """
    rows = [*_parse(found if isinstance(found, list) else [])]
    whole = {item.name for item, sign in rows if not item.parent and sign != "~"}
    shown = sorted(rows, key=lambda row: (row[0].parent or row[0].name, bool(row[0].parent), row[0]))
    return tuple(f"{sign} {item}" for item, sign in shown if item.parent not in whole)


def _parse(rows: Iterable[object]) -> Iterator[tuple[SchemaObject, str]]:
    for row in rows:
        if isinstance(row, Sequence) and len(row) == 3:
            parts = str(row[0]).split("\x1f")
            if len(parts) == 3:
                yield SchemaObject(*parts), "~" if row[1] and row[2] else "+" if row[2] else "-"
