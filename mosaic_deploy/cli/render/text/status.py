"""Status for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.model.quantities import count_text, size_text
from mosaic_deploy.model.snapshot import Objects, ObjectState

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import LiveState


import json
from typing import Any


def status_lines(live: LiveState) -> Iterator[str]:
    snapshot = live.snapshot
    project = snapshot.project
    yield _line("project", f"{project.name} ({project.id or 'not created yet'}), {project.status}")
    if project.url:
        yield _line("url", project.url)
    applied = [m for m in snapshot.migrations or () if m.applied]
    newest = f", newest {applied[-1].file}" if applied else ""
    yield _line("migrations", f"{len(applied)} applied{newest}")
    yield _line("static", _files_text(snapshot.static or {}))
    yield _line("storage", _files_text(snapshot.storage or {}))
    for name, (_, url) in sorted((live.storage_files or {}).items())[:10]:
        yield _line("", f"{name}  {url}")
    if last := live.ledger_facts.get("last"):
        ended = last.get("finished_at") or "not finished"
        yield _line("last deploy", f"{last.get('status')} by {last.get('holder')}, {ended}")
    if lease := live.ledger_facts.get("lease"):
        if lease.get("ended"):
            yield _line(
                "broke off", f"{lease.get('holder')}: its process has ended; the next apply takes over"
            )
        else:
            yield _line("deploying now", f"{lease.get('holder')} (until {lease.get('expires_at')})")


def _files_text(objects: Objects) -> str:
    managed = [o for o in objects.values() if o.state is not ObjectState.UNMANAGED]
    others = len(objects) - len(managed)
    text = f"{count_text(len(managed), 'file')}, {size_text(sum(o.size for o in managed))}"
    return f"{text}; {others} not deployed from here" if others else text


def _line(label: str, text: str) -> str:
    return f"{label:<14} {text}"


def log_line(line: str) -> str:
    """One line, or several where an error came with its trace. What isn't ours stays as it is."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "time" not in entry:
        return line
    shown = _request(entry) if entry.get("event") == "request" else _event(entry)
    trace = f"\n{entry['error']}" if entry.get("error") else ""
    return f"{str(entry['time'])[:23].replace('T', ' ')} {shown}{trace}"


def _request(entry: dict[str, Any]) -> str:
    path = ascii(str(entry.get("path", "")))[1:-1]
    return (
        f"{entry.get('status', '')!s:>3} {entry.get('ms', '')!s:>8} ms  {entry.get('method', '')} {path}"
        f"  ({entry.get('request_id', '')})"
    )


def _event(entry: dict[str, Any]) -> str:
    asked = f" ({entry['request_id']})" if entry.get("request_id") else ""
    return f"{entry.get('level', '')} {entry.get('event', '')}: {entry.get('message', '')}{asked}"
