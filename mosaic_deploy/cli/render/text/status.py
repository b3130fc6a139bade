"""`status` and the platform's log for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mosaic_deploy.cli.render.layout import wrap
from mosaic_deploy.cli.render.text.schema import drift_summary
from mosaic_deploy.diff.schema_drift import schema_drift
from mosaic_deploy.model.quantities import age_text, count_text, size_text
from mosaic_deploy.model.snapshot import Migration, Objects, ObjectState

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import LiveState

_MAX_URLS = 10
_LABEL_WIDTH = 15
"""Cells of a label and the space behind it."""


def status_lines(live: LiveState, width: int | None = None) -> Iterator[str]:
    """What is live: a labelled value per line, wrapped to `width`."""
    for label, text in _status_facts(live):
        yield from wrap(f"{label:<{_LABEL_WIDTH - 1}} {text}", width, _LABEL_WIDTH)


def urls_left_out(live: LiveState) -> int:
    """The number of storage files whose URLs the status doesn't list."""
    return max(0, len(live.storage_files or {}) - _MAX_URLS)


def _status_facts(live: LiveState) -> Iterator[tuple[str, str]]:
    snapshot = live.snapshot
    project = snapshot.project
    yield "project", f"{project.name} ({project.id or 'not created yet'}), {project.status}"
    if project.url:
        yield "url", project.url
    yield "migrations", _migrations_text(snapshot.migrations or ())
    if drift := schema_drift(live.schema, deploying=bool(live.ledger_facts.get("lease"))):
        yield "schema", drift_summary(drift)
    yield "static", _files_text(snapshot.static or {})
    yield "storage", _files_text(snapshot.storage or {})
    urls = sorted((name, url) for name, (_, url) in (live.storage_files or {}).items())
    for name, url in urls[:_MAX_URLS]:
        yield "", f"{name}  {url}"
    if more := urls_left_out(live):
        yield "", f"… and {more} more"
    lease = live.ledger_facts.get("lease")
    interrupted = bool(lease and lease.get("ended"))
    if last := live.ledger_facts.get("last"):
        finished = last.get("finished_at")
        when = age_text(str(finished)) if finished else "not finished"
        status = "interrupted" if interrupted and not finished else last.get("status")
        yield "last deploy", f"{status} by {last.get('holder')}, {when}"
        if error := (last.get("report") or {}).get("error"):
            place = f"{error['location']}: " if error.get("location") else ""
            yield "", f"{place}{error.get('message')}"
    if interrupted:
        yield "", "its process has ended; the next apply will resume"
    elif lease:
        yield (
            "deploying now",
            f"{lease.get('holder')} (lock expires {age_text(str(lease.get('expires_at')))})",
        )


def _migrations_text(rows: Sequence[Migration]) -> str:
    """`2 applied, newest 0002_b.sql; 0003_c.sql is applied in part (1 of 3 steps; the outcome of step 2 is unknown)`"""
    applied = [m for m in rows if m.applied]
    newest = f", newest {applied[-1].file}" if applied else ""
    begun = "".join(
        f"; {m.file} is applied in part ({m.steps_done} of {count_text(m.steps, 'step')}"
        + (f"; the outcome of step {m.step_begun} is unknown)" if m.unknown else ")")
        for m in rows
        if not m.applied
    )
    return f"{len(applied)} applied{newest}{begun}"


_UNMANAGED_STATES = frozenset({ObjectState.UNMANAGED, ObjectState.REPLACED})


def _files_text(objects: Objects) -> str:
    """`8 files, 6.2 kB; 1 not live; 2 unmanaged`"""
    managed = [o for o in objects.values() if o.state not in _UNMANAGED_STATES]
    live = [o for o in managed if o.live]
    text = f"{count_text(len(live), 'file')}, {size_text(sum(o.size for o in live))}"
    if missing := len(managed) - len(live):
        text += f"; {missing} not live"
    unmanaged = len(objects) - len(managed)
    return f"{text}; {unmanaged} unmanaged" if unmanaged else text


def log_line(line: str) -> str:
    """A line of the platform's JSON log as text, an error's traceback below it; any other line unchanged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "time" not in entry:
        return line
    shown = _request(entry) if entry.get("event") == "request" else _event(entry)
    trace = f"\n{entry['error']}" if entry.get("error") else ""
    return f"{_local_time(str(entry['time']))} {shown}{trace}"


def _local_time(timestamp: str) -> str:
    """`2026-03-04 14:02:51`, in this machine's time zone."""
    try:
        return f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return timestamp


def _request(entry: dict[str, Any]) -> str:
    path = ascii(str(entry.get("path", "")))[1:-1]
    return (
        f"{entry.get('status', '')!s:>3} {entry.get('ms', '')!s:>8} ms  {entry.get('method', '')} {path}"
        f"  ({entry.get('request_id', '')})"
    )


def _event(entry: dict[str, Any]) -> str:
    request = f" ({entry['request_id']})" if entry.get("request_id") else ""
    return f"{entry.get('level', '')} {entry.get('event', '')}: {entry.get('message', '')}{request}"
