"""The progress of storage files that are uploaded or deleted, and lists of files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mosaic_deploy.cli.render.json_documents import event_document
from mosaic_deploy.model.quantities import count_text

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.model.event import Event

_MAX_LISTED = 25


def show_transfers(screen: Screen, events: Iterator[Event]) -> None:
    """Shows people the progress, and `ndjson` the events. Raises what the events raise."""
    if screen.format == "ndjson":
        for event in events:
            screen.result(event_document(event), ())
        return
    if screen.format != "text":
        for _ in events:
            pass
        return
    from mosaic_deploy.cli.render.progress import make_display

    with make_display(screen.color) as shown:
        for event in events:
            shown.show(event)
    sys.stderr.flush()


def listed_lines(rows: Sequence[tuple[str, str]], noun: str) -> Iterator[str]:
    """A line per row, its name and text; of many only the first, and their number."""
    shown = rows if len(rows) <= _MAX_LISTED + 1 else rows[:_MAX_LISTED]
    for name, text in shown:
        yield f"  {_shown(name)}{f'  {text}' if text else ''}"
    if more := len(rows) - len(shown):
        yield f"  … and {count_text(more, f'more {noun}')}; --output json lists all"


def _shown(name: str) -> str:
    return name if name.isprintable() else name.encode("unicode_escape").decode()
