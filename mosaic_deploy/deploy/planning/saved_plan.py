"""What a saved plan was made from, in digests, and what of that has moved since. Values, no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mosaic_deploy.deploy.planning.planned import Planned
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.plan import change_facts
from mosaic_deploy.model.snapshot import Migration, Objects, Snapshot, objects_digest

Facts = dict[str, Any]
_SHORT = 16
"""Hex digits that tell contents apart, where a name has to be said; the fingerprint has all of them."""
_SECTIONS = {
    "project": "project",
    "database": "database",
    "static": "static",
    "storage": "storage",
    "magic_link": "auth",
    "verify": "verify",
    "policy": "policy",
}
"""The manifest's parts → as its readers know them."""
_FILES = {"static": "static files", "storage": "stored files", "seeds": "seeds"}
_MOST = 5
"""Names said of one kind; the others are counted."""


def origin(planned: Planned) -> Facts:
    """Everything that the plan depends on, as digests: no value that a variable brought can be read from it."""
    desired, live = planned.desired.snapshot, planned.live.snapshot
    return {
        "serial": planned.plan.serial,
        "manifest": _manifest(planned.desired.manifest),
        "desired": _desired(desired),
        "live": _live(live),
        "hazards": sorted(_hazard(hazard) for hazard in planned.plan.hazards),
    }


def moved(document: Mapping[str, Any], planned: Planned) -> list[str]:
    """What isn't as it was when `document` was saved, in words; nothing only where the plan is the same."""
    then, now = document["saved"]["origin"], origin(planned)
    found = [
        *_project_moved(document["project"], planned),
        *_manifest_moved(then["manifest"], now["manifest"], planned.desired.manifest),
        *_migrations_moved(then["desired"]["migrations"], now["desired"]["migrations"]),
        *_files_moved(then["desired"], now["desired"]),
        *_live_moved(document, then, now, planned),
        *_hazards_moved(then["hazards"], now["hazards"]),
    ]
    return found or _plan_moved(document, planned)


def applied_already(document: Mapping[str, Any], planned: Planned) -> bool:
    """Whether exactly this plan was the last one applied, and nothing that it was made from has moved since."""
    last = planned.live.facts.get("last") or {}
    then, now = document["saved"]["origin"], origin(planned)
    return (
        last.get("plan") == document["fingerprint"]
        and last.get("status") in ("done", "partial")
        and planned.plan.empty
        and (then["manifest"], then["desired"]) == (now["manifest"], now["desired"])
    )


def _manifest(manifest: Manifest) -> Facts:
    return {shown: _digest(_plain(getattr(manifest, field))) for field, shown in _SECTIONS.items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return None if value is None else asdict(value)  # type: ignore[call-overload]


def _desired(snapshot: Snapshot) -> Facts:
    return {
        "migrations": _checksums(snapshot.migrations),
        "static": _contents(snapshot.static),
        "storage": _contents(snapshot.storage),
        "seeds": _contents(snapshot.seeds),
        "auth": _digest(snapshot.auth),
    }


def _checksums(migrations: tuple[Migration, ...] | None) -> Facts | None:
    return None if migrations is None else {m.file: m.checksum[:_SHORT] for m in migrations}


def _contents(objects: Objects | None) -> Facts | None:
    return None if objects is None else {path: o.sha256[:_SHORT] for path, o in objects.items()}


def _live(snapshot: Snapshot) -> Facts:
    history = [
        (m.version, m.file, m.checksum, "" if m.applied else m.units_done) for m in snapshot.migrations or ()
    ]
    return {
        "extensions": _digest(sorted(snapshot.extensions)),
        "migrations": _digest(history),
        "static": objects_digest(snapshot.static or {}),
        "storage": objects_digest(snapshot.storage or {}),
        "seeds": objects_digest(snapshot.seeds or {}),
        "auth": _digest(snapshot.auth),
    }


def _hazard(hazard: Hazard) -> str:
    """What was reviewed of it. Its message may tell rows, which come and go."""
    return f"{hazard.severity} {hazard.code} {hazard.location}: {hazard.object}"


def _digest(value: object) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _project_moved(then: Mapping[str, Any], planned: Planned) -> Iterator[str]:
    now = planned.plan.project
    if then["id"] == now.id:
        return
    if not then["id"]:
        yield f"the project {now.name}, which was to be created, is there by now ({now.id})"
    else:
        yield f"the project: the plan is for {then['id']}, and this is {now.id or 'a new one'}"


def _manifest_moved(then: Facts, now: Facts, manifest: Manifest) -> Iterator[str]:
    sections = [name for name in now if then.get(name) != now[name]]
    if sections:
        yield f"{manifest.file.name} says something else under {', '.join(sections)}"


def _migrations_moved(then: Facts | None, now: Facts | None) -> Iterator[str]:
    for name, what in _differences(then or {}, now or {}):
        yield f"migration {name} {'was edited' if what == 'edited' else f'is {what}'}"


def _files_moved(then: Facts, now: Facts) -> Iterator[str]:
    for kind, words in _FILES.items():
        found = [f"{name} ({what})" for name, what in _differences(then[kind] or {}, now[kind] or {})]
        if found:
            more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
            yield f"{words}: {', '.join(found[:_MOST])}{more}"


def _differences(then: Facts, now: Facts) -> Iterator[tuple[str, str]]:
    for name in sorted(then.keys() | now.keys()):
        if name not in then:
            yield name, "new"
        elif name not in now:
            yield name, "gone"
        elif then[name] != now[name]:
            yield name, "edited"


def _live_moved(document: Mapping[str, Any], then: Facts, now: Facts, planned: Planned) -> Iterator[str]:
    """Another deploy, which explains everything else live; else each kind that differs by itself."""
    if then["serial"] != now["serial"]:
        yield _deploys(document, then["serial"], planned)
        return
    for kind in ("extensions", "migrations", "static", "storage", "seeds", "auth"):
        # A kind that one of the two manifests leaves out was looked at in one of the two plans only.
        compared = kind == "extensions" or None not in (then["desired"][kind], now["desired"][kind])
        if compared and then["live"][kind] != now["live"][kind]:
            yield f"live: {_LIVE.get(kind, kind)} changed without a deploy from here"


_LIVE = {"static": "static files", "storage": "stored files", "migrations": "the history of migrations"}


def _deploys(document: Mapping[str, Any], serial: int, planned: Planned) -> str:
    last = planned.live.facts.get("last") or {}
    who = f"by {last.get('holder')} ({last.get('status')}, {last.get('started_at')})"
    if last.get("plan") == document["fingerprint"] and last.get("serial") == serial + 1:
        begun = "applied" if last.get("status") in ("done", "partial") else "begun"
        return f"live: this very plan was {begun} since, {who}"
    return f"live: deployed since, the last time {who}"


def _hazards_moved(then: list[str], now: list[str]) -> Iterator[str]:
    for hazard in now:
        if hazard not in then:
            yield f"a hazard that wasn't there: {hazard}"


def _plan_moved(document: Mapping[str, Any], planned: Planned) -> list[str]:
    """For what no part explains: the changes themselves are compared, field by field."""
    now = json.loads(json.dumps([change_facts(change) for change in planned.plan.changes]))
    if document["fingerprint"] == planned.plan.fingerprint and document["changes"] == now:
        return []
    then = {change["address"]: change for change in document["changes"]}
    others = sorted(
        {c["address"] for c in now if then.get(c["address"]) != c}
        | (then.keys() - {c["address"] for c in now})
    )
    return [f"the plan itself: {', '.join(others[:_MOST]) or 'its order or its origin'}"]
