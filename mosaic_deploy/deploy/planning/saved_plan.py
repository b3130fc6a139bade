"""What a saved plan was made from, in digests, and what of that has moved since. Values, no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.plan import change_facts
from mosaic_deploy.model.snapshot import Migration, Objects, Snapshot, objects_digest

PlanInputs = dict[str, Any]
_SHORT_DIGEST = 16
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
_FILE_KINDS = {"static": "static files", "storage": "stored files", "seeds": "seeds"}
_MAX_NAMES = 5
"""Names said of one kind; the others are counted."""


def plan_inputs(planned: PreparedPlan) -> PlanInputs:
    """Everything that the plan depends on, as digests: no value that a variable brought can be read from it."""
    desired, live = planned.desired.snapshot, planned.live.snapshot
    return {
        "serial": planned.plan.serial,
        "manifest": _manifest_digests(planned.desired.manifest),
        "desired": _desired_digests(desired),
        "live": _live_digests(live),
        "hazards": sorted(_hazard_text(hazard) for hazard in planned.plan.hazards),
    }


def changes_since_saved(document: Mapping[str, Any], planned: PreparedPlan) -> list[str]:
    """What isn't as it was when `document` was saved, in words; nothing only where the plan is the same."""
    then, now = document["saved"]["origin"], plan_inputs(planned)
    found = [
        *_project_changes(document["project"], planned),
        *_manifest_changes(then["manifest"], now["manifest"], planned.desired.manifest),
        *_migration_changes(then["desired"]["migrations"], now["desired"]["migrations"]),
        *_file_changes(then["desired"], now["desired"]),
        *_live_changes(document, then, now, planned),
        *_new_hazards(then["hazards"], now["hazards"]),
    ]
    return found or _plan_changes(document, planned)


def already_applied(document: Mapping[str, Any], planned: PreparedPlan) -> bool:
    """Whether exactly this plan was the last one applied, and nothing that it was made from has moved since."""
    last = planned.live.ledger_facts.get("last") or {}
    then, now = document["saved"]["origin"], plan_inputs(planned)
    return (
        last.get("plan") == document["fingerprint"]
        and last.get("status") in ("done", "partial")
        and planned.plan.empty
        and (then["manifest"], then["desired"]) == (now["manifest"], now["desired"])
    )


def _manifest_digests(manifest: Manifest) -> PlanInputs:
    return {shown: _digest(_to_json(getattr(manifest, field))) for field, shown in _SECTIONS.items()}


def _to_json(value: object) -> object:
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    return None if value is None else asdict(value)  # type: ignore[call-overload]


def _desired_digests(snapshot: Snapshot) -> PlanInputs:
    return {
        "migrations": _checksums(snapshot.migrations),
        "static": _contents(snapshot.static),
        "storage": _contents(snapshot.storage),
        "seeds": _contents(snapshot.seeds),
        "auth": _digest(snapshot.auth),
    }


def _checksums(migrations: tuple[Migration, ...] | None) -> PlanInputs | None:
    return None if migrations is None else {m.file: m.checksum[:_SHORT_DIGEST] for m in migrations}


def _contents(objects: Objects | None) -> PlanInputs | None:
    return None if objects is None else {path: o.sha256[:_SHORT_DIGEST] for path, o in objects.items()}


def _live_digests(snapshot: Snapshot) -> PlanInputs:
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


def _hazard_text(hazard: Hazard) -> str:
    """What was reviewed of it. Its message may tell rows, which come and go."""
    return f"{hazard.severity} {hazard.code} {hazard.location}: {hazard.object}"


def _digest(value: object) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _project_changes(then: Mapping[str, Any], planned: PreparedPlan) -> Iterator[str]:
    now = planned.plan.project
    if then["id"] == now.id:
        return
    if not then["id"]:
        yield f"the project {now.name}, which was to be created, is there by now ({now.id})"
    else:
        yield f"the project: the plan is for {then['id']}, and this is {now.id or 'a new one'}"


def _manifest_changes(then: PlanInputs, now: PlanInputs, manifest: Manifest) -> Iterator[str]:
    sections = [name for name in now if then.get(name) != now[name]]
    if sections:
        yield f"{manifest.file.name} says something else under {', '.join(sections)}"


def _migration_changes(then: PlanInputs | None, now: PlanInputs | None) -> Iterator[str]:
    for name, what in _differences(then or {}, now or {}):
        yield f"migration {name} {'was edited' if what == 'edited' else f'is {what}'}"


def _file_changes(then: PlanInputs, now: PlanInputs) -> Iterator[str]:
    for kind, words in _FILE_KINDS.items():
        found = [f"{name} ({what})" for name, what in _differences(then[kind] or {}, now[kind] or {})]
        if found:
            more = f" and {len(found) - _MAX_NAMES} more" if len(found) > _MAX_NAMES else ""
            yield f"{words}: {', '.join(found[:_MAX_NAMES])}{more}"


def _differences(then: PlanInputs, now: PlanInputs) -> Iterator[tuple[str, str]]:
    for name in sorted(then.keys() | now.keys()):
        if name not in then:
            yield name, "new"
        elif name not in now:
            yield name, "gone"
        elif then[name] != now[name]:
            yield name, "edited"


def _live_changes(
    document: Mapping[str, Any], then: PlanInputs, now: PlanInputs, planned: PreparedPlan
) -> Iterator[str]:
    """Another deploy, which explains everything else live; else each kind that differs by itself."""
    if then["serial"] != now["serial"]:
        yield _other_deploy_text(document, then["serial"], planned)
        return
    for kind in ("extensions", "migrations", "static", "storage", "seeds", "auth"):
        # A kind that one of the two manifests leaves out was looked at in one of the two plans only.
        compared = kind == "extensions" or None not in (then["desired"][kind], now["desired"][kind])
        if compared and then["live"][kind] != now["live"][kind]:
            yield f"live: {_LIVE_NAMES.get(kind, kind)} changed without a deploy from here"


_LIVE_NAMES = {"static": "static files", "storage": "stored files", "migrations": "the history of migrations"}


def _other_deploy_text(document: Mapping[str, Any], serial: int, planned: PreparedPlan) -> str:
    last = planned.live.ledger_facts.get("last") or {}
    who = f"by {last.get('holder')} ({last.get('status')}, {last.get('started_at')})"
    if last.get("plan") == document["fingerprint"] and last.get("serial") == serial + 1:
        begun = "applied" if last.get("status") in ("done", "partial") else "begun"
        return f"live: this very plan was {begun} since, {who}"
    return f"live: deployed since, the last time {who}"


def _new_hazards(then: list[str], now: list[str]) -> Iterator[str]:
    for hazard in now:
        if hazard not in then:
            yield f"a hazard that wasn't there: {hazard}"


def _plan_changes(document: Mapping[str, Any], planned: PreparedPlan) -> list[str]:
    """For what no part explains: the changes themselves are compared, field by field."""
    now = json.loads(json.dumps([change_facts(change) for change in planned.plan.changes]))
    if document["fingerprint"] == planned.plan.fingerprint and document["changes"] == now:
        return []
    then = {change["address"]: change for change in document["changes"]}
    others = sorted(
        {c["address"] for c in now if then.get(c["address"]) != c}
        | (then.keys() - {c["address"] for c in now})
    )
    return [f"the plan itself: {', '.join(others[:_MAX_NAMES]) or 'its order or its origin'}"]
