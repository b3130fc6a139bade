"""Changes of a database's schema as text: those of a draft, and drift."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.model.catalog import SchemaChange, SchemaDrift, SchemaState
from mosaic_deploy.model.quantities import age_text, count_text

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "drop": ("-", "red")}
_MAX_SHOWN = 25


def schema_change_line(change: SchemaChange) -> str:
    """`+ column books.sneaky integer`"""
    sign, color = _SIGNS[change.action]
    return f"{style(sign, fg=color)} {change.summary}"


def drift_lines(drift: SchemaDrift, most: int | None = _MAX_SHOWN) -> Iterator[str]:
    """A heading, and a line for each difference; at most `most`."""
    yield "  Schema drift since the last deploy"
    yield from (f"    {schema_change_line(change)}" for change in drift.changes[:most])
    if most is not None and len(drift.changes) > most:
        yield f"    … and {len(drift.changes) - most} more; --output json lists all"
    if drift.truncated:
        yield "    … and more, which weren't read"


def drift_summary(drift: SchemaDrift) -> str:
    """`as the last deploy left it`, or how much it differs."""
    if drift.state is SchemaState.UNCHANGED:
        return "as the last deploy left it"
    if drift.state is SchemaState.DRIFTED:
        differences = count_text(len(drift.changes), "difference")
        return f"drifted: {differences} since the deploy {age_text(drift.recorded_at)}"
    return drift.message
