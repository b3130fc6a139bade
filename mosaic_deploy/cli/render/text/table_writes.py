"""The rows that a rehearsed migration writes although its file doesn't say so, and the triggers that may write others."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.catalog import Rehearsal, RehearsedChange, SchemaObject
from mosaic_deploy.model.effects import TableWrite
from mosaic_deploy.model.quantities import count_text

_MAX_SHOWN = 10
_BY = "by a trigger, view, rule, function or foreign key"


def write_lines(done: RehearsedChange, rehearsal: Rehearsal) -> Iterator[str]:
    """A line for each table, what was counted first; then one for the triggers that didn't fire."""
    by_table: dict[str, list[TableWrite]] = {}
    for write in sorted(done.writes, key=lambda one: not (one.updates or one.deletes)):
        by_table.setdefault(write.shown, []).append(write)
    for table, writes in list(by_table.items())[:_MAX_SHOWN]:
        size = rehearsal.size_of(SchemaObject("table", table))
        yield f"{_verb(writes)} rows of {table}{f' ({size.text})' if size and size.text else ''}, {_BY}"
    if len(by_table) > _MAX_SHOWN:
        yield f"… and may update rows of {count_text(len(by_table) - _MAX_SHOWN, 'more table')}; --output json lists all"
    if done.unfired:
        yield (
            f"row triggers that didn't fire without rows: {', '.join(dict.fromkeys(done.unfired))}; if one updates rows of "
            "another table, name it in the file: -- mosaic-updates: TABLE"
        )


def _verb(writes: list[TableWrite]) -> str:
    """A lock alone agrees to updates, and not to deletes."""
    counted = [
        verb
        for verb, happens in (
            ("updates", any(write.updates for write in writes)),
            ("deletes", any(write.deletes for write in writes)),
        )
        if happens
    ]
    return " and ".join(counted) or "may update (not delete)"
