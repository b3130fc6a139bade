"""Digests of everything a saved plan was made from, and what changed since. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.schema_drift import change_text
from mosaic_deploy.live.catalog.touched_digests import touched_of
from mosaic_deploy.model.catalog import SchemaObject
from mosaic_deploy.model.change import RunsSql
from mosaic_deploy.model.effects import Touched
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.kind import BY_SELECTOR, Kind, Part
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.plan import Plan, change_facts, without_estimates
from mosaic_deploy.model.snapshot import Snapshot, objects_digest
from mosaic_deploy.model.variable_value import VariableValue

PlanInputs = dict[str, Any]
_SHORT_DIGEST = 16
"""Hex digits of content digests, enough to name what changed; the fingerprint covers the full digests."""
_SECTIONS = {
    field.name: "auth" if field.name == "magic_link" else field.name
    for field in fields(Manifest)
    if field.name not in ("file", "environment", "environments", "warnings", "locations")
}
"""Fields of Manifest → sections of mosaic.yaml."""
_COMMENT = "comment"
_MAX_NAMES = 5
"""Maximum names listed per kind; the others are counted."""


def plan_inputs(planned: PreparedPlan) -> PlanInputs:
    """Digests of everything the plan depends on, so values of variables aren't in the file."""
    desired, live = planned.desired.snapshot, planned.live.snapshot
    return {
        "serial": planned.plan.serial,
        "manifest": _manifest_digests(planned.desired.manifest),
        "desired": _desired_digests(desired),
        "live": _live_digests(live),
        "drift": _drift_digests(planned.plan),
        "hazards": sorted(_hazard_text(hazard) for hazard in planned.plan.hazards),
    }


def changes_since_saved(document: Mapping[str, Any], planned: PreparedPlan) -> list[str]:
    """What changed since `document` was saved, as texts. Empty only if the plan is the same."""
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
    """Whether exactly this plan was the last one applied, and nothing has changed since."""
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
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _desired_digests(snapshot: Snapshot) -> PlanInputs:
    return {
        selector: _desired_digest(kind, getattr(snapshot, selector))
        for selector, kind in BY_SELECTOR.items()
        if kind.part not in (None, Part.NAMES)
    }


def _desired_digest(kind: Kind, part: Any) -> PlanInputs | str | None:
    """Of files and migrations one short digest each, to name what changed."""
    if part is None or kind.part is Part.VALUE:
        return _digest(part)
    if kind.part is Part.MIGRATIONS:
        return {migration.file: migration.checksum[:_SHORT_DIGEST] for migration in part}
    return {path: item.sha256[:_SHORT_DIGEST] for path, item in part.items()}


def _live_digests(snapshot: Snapshot) -> PlanInputs:
    return {
        selector: _live_digest(kind, getattr(snapshot, selector))
        for selector, kind in BY_SELECTOR.items()
        if kind.part
    }


def _live_digest(kind: Kind, part: Any) -> str | None:
    if kind.part is Part.FILES:
        return objects_digest(part or {})
    if kind.part is Part.MIGRATIONS:
        return _digest(
            [(m.version, m.file, m.checksum, "" if m.applied else m.steps_done) for m in part or ()]
        )
    return _digest(sorted(part)) if kind.part is Part.NAMES else _digest(part)


def _drift_digests(plan: Plan) -> PlanInputs:
    """By object that has drifted, a short digest of the recorded and the live definition."""
    facts = plan.drift.facts if plan.drift else {}
    return {name: str(_digest(sides))[:_SHORT_DIGEST] for name, sides in facts.items()}


def _hazard_text(hazard: Hazard) -> str:
    """The facts of a hazard that a review depends on; not the message, which may contain row counts."""
    return f"{hazard.severity} {hazard.code} {hazard.location}: {hazard.object}"


def _digest(value: object) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_json_member)
    return hashlib.sha256(text.encode()).hexdigest()


def _json_member(value: Any) -> object:
    return value.reveal() if isinstance(value, VariableValue) else dict(value)


def _project_changes(then: Mapping[str, Any], planned: PreparedPlan) -> Iterator[str]:
    now = planned.plan.project
    if then["id"] == now.id:
        return
    if not then["id"]:
        yield f"the project {now.name}, which was to be created, exists now ({now.id})"
    else:
        yield f"the project: the plan is for {then['id']}, this is {now.id or 'a new project'}"


def _manifest_changes(then: PlanInputs, now: PlanInputs, manifest: Manifest) -> Iterator[str]:
    sections = [name for name in now if then.get(name) != now[name]]
    if sections:
        yield f"{manifest.file.name}, or a variable in it, changed under {', '.join(sections)}"


def _migration_changes(then: PlanInputs | None, now: PlanInputs | None) -> Iterator[str]:
    for name, what in _differences(then or {}, now or {}):
        yield f"migration {name} {'is new' if what == 'new' else f'was {what}'}"


def _file_changes(then: PlanInputs, now: PlanInputs) -> Iterator[str]:
    for kind in (selector for selector, each in BY_SELECTOR.items() if each.part is Part.FILES):
        found = [f"{name} ({what})" for name, what in _differences(then[kind] or {}, now[kind] or {})]
        if found:
            more = f" and {len(found) - _MAX_NAMES} more" if len(found) > _MAX_NAMES else ""
            yield f"{BY_SELECTOR[kind].plural}: {', '.join(found[:_MAX_NAMES])}{more}"


def _differences(then: PlanInputs, now: PlanInputs) -> Iterator[tuple[str, str]]:
    for name in sorted(then.keys() | now.keys()):
        if name not in then:
            yield name, "new"
        elif name not in now:
            yield name, "deleted"
        elif then[name] != now[name]:
            yield name, "edited"


def _live_changes(
    document: Mapping[str, Any], then: PlanInputs, now: PlanInputs, planned: PreparedPlan
) -> Iterator[str]:
    """Another deploy, which explains all live changes; otherwise each kind that changed."""
    if then["serial"] != now["serial"]:
        yield _other_deploy_text(document, then["serial"], planned)
        return
    for kind in now["live"]:
        # A kind that isn't in both manifests was read for only one of the two plans.
        names = BY_SELECTOR[kind].part is Part.NAMES
        compared = names or None not in (then["desired"][kind], now["desired"][kind])
        if compared and then["live"][kind] != now["live"][kind]:
            yield f"live: {BY_SELECTOR[kind].plural} changed without a deploy"
    if found := list(_schema_differences(document, then["drift"], planned.plan)):
        more = f"; and {len(found) - _MAX_NAMES} more" if len(found) > _MAX_NAMES else ""
        yield f"live: the database's schema was changed: {'; '.join(found[:_MAX_NAMES])}{more}"


def _schema_differences(document: Mapping[str, Any], then: PlanInputs, plan: Plan) -> Iterator[str]:
    """What has drifted since, or has been undone, and the plan may depend on."""
    depends = _depends_on_schema(document, plan)
    saved = (document["drift"] or {"changes": []})["changes"]
    before = [SchemaObject(each["kind"], each["name"], each["of"] or "") for each in saved]
    undone = {str(item): item for item in before}
    drifted = {str(change.object): change for change in (plan.drift.changes if plan.drift else ())}
    for name, what in _differences(then, _drift_digests(plan)):
        if what != "deleted" and depends(drifted[name].object):
            yield change_text(drifted[name])
        elif what == "deleted" and (name not in undone or depends(undone[name])):
            yield f"{name} is as the last deploy left it again"


def _depends_on_schema(document: Mapping[str, Any], plan: Plan) -> Callable[[SchemaObject], bool]:
    """Whether what the plan does may depend on an object.

    A plan without SQL depends on none. If all its SQL was rehearsed, it depends on what its steps touch, which they are compared
    with, and on what belongs to no table, function or type, such as an extension. A comment changes nothing.
    """
    sql = {change.address for change in plan.changes if isinstance(change, RunsSql)}
    rehearsal = document["rehearsal"] or {"done": [], "steps": []}
    rehearsed = {address for each in rehearsal["done"] for address in each["addresses"]}
    touched = {Touched(one["kind"], one["name"]) for step in rehearsal["steps"] for one in step["touches"]}

    def depends(item: SchemaObject) -> bool:
        if not sql or item.kind == _COMMENT:
            return False
        owners = set(touched_of(item))
        return not (sql <= rehearsed and owners) or not owners.isdisjoint(touched)

    return depends


def _other_deploy_text(document: Mapping[str, Any], serial: int, planned: PreparedPlan) -> str:
    last = planned.live.ledger_facts.get("last") or {}
    who = f"by {last.get('holder')} ({last.get('status')}, {_time_text(last.get('started_at'))})"
    if last.get("plan") == document["fingerprint"] and last.get("serial") == serial + 1:
        result = "applied" if last.get("status") in ("done", "partial") else "started"
        return f"live: this plan was already {result} {who}"
    return f"live: deployed since, most recently {who}"


def _time_text(iso: object) -> str:
    """To the minute, in UTC."""
    try:
        return f"{datetime.fromisoformat(str(iso)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(iso)


def _new_hazards(then: list[str], now: list[str]) -> Iterator[str]:
    for hazard in now:
        if hazard not in then:
            yield f"new hazard: {hazard}"


def _plan_changes(document: Mapping[str, Any], planned: PreparedPlan) -> list[str]:
    """If nothing else explains it: the changes of the plan that differ."""
    now = json.loads(json.dumps([without_estimates(change_facts(one)) for one in planned.plan.changes]))
    shown = [without_estimates(one) for one in document["changes"]]
    if document["fingerprint"] == planned.plan.fingerprint and shown == now:
        return []
    then = {change["address"]: change for change in shown}
    others = sorted(
        {c["address"] for c in now if then.get(c["address"]) != c}
        | (then.keys() - {c["address"] for c in now})
    )
    return [f"the plan itself: {', '.join(others[:_MAX_NAMES]) or 'its order or its inputs'}"]
