"""Status for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.model.count import counted
from mosaic_deploy.model.size import size_text
from mosaic_deploy.model.snapshot import Objects, State

if TYPE_CHECKING:
    from mosaic_deploy.live.read import Live


def status_lines(live: Live) -> Iterator[str]:
    snapshot = live.snapshot
    project = snapshot.project
    yield _line("project", f"{project.name} ({project.id or 'not created yet'}), {project.status}")
    if project.url:
        yield _line("url", project.url)
    applied = [m for m in snapshot.migrations or () if m.applied]
    newest = f", newest {applied[-1].file}" if applied else ""
    yield _line("migrations", f"{len(applied)} applied{newest}")
    yield _line("static", _objects(snapshot.static or {}))
    yield _line("storage", _objects(snapshot.storage or {}))
    for name, (_, url) in sorted((live.assets or {}).items())[:10]:
        yield _line("", f"{name}  {url}")
    if last := live.facts.get("last"):
        ended = last.get("finished_at") or "not finished"
        yield _line("last deploy", f"{last.get('status')} by {last.get('holder')}, {ended}")
    if lease := live.facts.get("lease"):
        if lease.get("ended"):
            yield _line(
                "broke off", f"{lease.get('holder')}: its process has ended; the next apply takes over"
            )
        else:
            yield _line("deploying now", f"{lease.get('holder')} (until {lease.get('expires_at')})")


def _objects(objects: Objects) -> str:
    managed = [o for o in objects.values() if o.state is not State.UNMANAGED]
    others = len(objects) - len(managed)
    text = f"{counted(len(managed), 'file')}, {size_text(sum(o.size for o in managed))}"
    return f"{text}; {others} not deployed from here" if others else text


def _line(label: str, text: str) -> str:
    return f"{label:<14} {text}"
