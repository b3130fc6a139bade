"""Changes of a database's schema as JSON-ready documents: drift, and what a rehearsal saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mosaic_deploy.model.catalog import (
    LiveSize,
    Rehearsal,
    RehearsedChange,
    SchemaChange,
    SchemaDrift,
    SchemaObject,
    TableLock,
)
from mosaic_deploy.model.effects import StepTouches, TableWrite, Touched
from mosaic_deploy.model.hazard import Hazard, RowCheck

Document = dict[str, Any]


def drift_document(drift: SchemaDrift | None, *, bodies: bool = True) -> Document | None:
    """The differences of the live schema. Without `bodies`, definitions of several lines are left out."""
    if drift is None:
        return None
    return {
        "state": str(drift.state),
        "message": drift.message or None,
        "changes": [schema_change_document(change, bodies=bodies) for change in drift.changes],
        "truncated": drift.truncated,
        "recorded_by": drift.deploy_id or None,
        "recorded_at": drift.recorded_at or None,
    }


def rehearsal_document(rehearsal: Rehearsal | None) -> Document | None:
    """The schema changes of each migration, or why there are none: `not_rehearsed`."""
    if rehearsal is None:
        return None
    return {
        "done": [
            {
                "addresses": list(each.addresses),
                "changes": [schema_change_document(change, bodies=False) for change in each.changes],
                "notices": list(each.notices),
                "seconds": round(each.seconds, 3),
                "locks": [_lock_document(lock) for lock in each.locks],
                "locks_not_seen": list(each.unseen),
                "writes": [asdict(write) for write in each.writes],
                "triggers_not_fired": list(each.unfired),
            }
            for each in rehearsal.done
        ],
        "base": rehearsal.base or None,
        "result": rehearsal.result or None,
        "postgres": rehearsal.server or None,
        "live_postgres": rehearsal.live_server or None,
        "row_checks": [_row_check_document(each) for each in rehearsal.row_checks],
        "objects_added": rehearsal.added,
        "objects_changed": rehearsal.changed,
        "objects_destroyed": [_object_document(item) for item in rehearsal.destroyed],
        "live_sizes": [_size_document(each) for each in rehearsal.sizes],
        "refuted": [{"code": each.code, "location": str(each.location)} for each in rehearsal.refuted],
        "checks_not_made": rehearsal.unmade_checks,
        "remarks": list(rehearsal.remarks),
        "not_rehearsed": rehearsal.not_rehearsed or None,
        "remedy": rehearsal.remedy or None,
        "differences": [schema_change_document(each, bodies=False) for each in rehearsal.differences],
        "steps": [_step_document(each) for each in rehearsal.steps],
        "objects": [
            {
                "touched": _touched_document(touched),
                "kind": item.kind,
                "name": item.name,
                "of": item.parent or None,
                "digest": digest,
            }
            for touched, objects in rehearsal.objects.items()
            for item, digest in objects.items()
        ],
    }


def _step_document(step: StepTouches) -> Document:
    return {
        "address": step.address,
        "step": step.step,
        "touches": [
            {**_touched_document(touched), "lock": lock or None, "may_change": touched in step.changes}
            for touched, lock in step.touches.items()
        ],
        "words": sorted(step.words),
        "leaves": None
        if step.leaves is None
        else [
            {"kind": kind, "name": name, "of": parent or None, "digest": digest or None}
            for (kind, name, parent), digest in step.leaves.items()
        ],
    }


def _touched_document(touched: Touched) -> Document:
    return {"kind": touched.kind, "name": touched.name}


def parse_rehearsal(document: Mapping[str, Any] | None, hazards: Sequence[Hazard]) -> Rehearsal | None:
    """The rehearsal of a `rehearsal_document` that conforms to the schema of saved plans, without what it has `found`.

    `hazards` are the plan's, of which it has refuted some. Definitions that were left out are empty lines.
    """
    if document is None:
        return None
    refuted = {(each["code"], each["location"]) for each in document["refuted"]}
    objects: dict[Touched, dict[SchemaObject, str]] = {}
    for each in document["objects"]:
        objects.setdefault(Touched(**each["touched"]), {})[_parse_object(each)] = each["digest"]
    return Rehearsal(
        tuple(
            RehearsedChange(
                tuple(each["addresses"]),
                tuple(map(_parse_change, each["changes"])),
                tuple(each["notices"]),
                each["seconds"],
                tuple(map(_parse_lock, each["locks"])),
                tuple(each["locks_not_seen"]),
                tuple(TableWrite(**write) for write in each["writes"]),
                tuple(each["triggers_not_fired"]),
            )
            for each in document["done"]
        ),
        document["base"] or "",
        document["result"] or "",
        document["postgres"] or "",
        document["live_postgres"] or "",
        tuple(document["remarks"]),
        document["not_rehearsed"] or "",
        tuple(map(_parse_change, document["differences"])),
        tuple(map(_parse_row_check, document["row_checks"])),
        remedy=document["remedy"] or "",
        added=document["objects_added"],
        changed=document["objects_changed"],
        destroyed=tuple(map(_parse_object, document["objects_destroyed"])),
        sizes=tuple(
            LiveSize(_parse_object(each), each["rows"], each["bytes"], each["empty"])
            for each in document["live_sizes"]
        ),
        refuted=tuple(each for each in hazards if (each.code, str(each.location)) in refuted),
        unmade_checks=document["checks_not_made"],
        steps=tuple(map(_parse_step, document["steps"])),
        objects=objects,
    )


def _parse_change(document: Mapping[str, Any]) -> SchemaChange:
    before, after = (document[side] if document[side] is not None else "\n" for side in ("before", "after"))
    return SchemaChange(
        _parse_object(document),
        None if document["action"] == "add" else before,
        None if document["action"] == "drop" else after,
        document["new_name"] or "",
    )


def _parse_object(document: Mapping[str, Any]) -> SchemaObject:
    return SchemaObject(document["kind"], document["name"], document["of"] or "")


def _parse_lock(document: Mapping[str, Any]) -> TableLock:
    return TableLock(
        SchemaObject(document["kind"], document["table"]),
        document["mode"],
        document["address"],
        document["line"],
        rewritten=document["rewritten"],
        scanned=document["scanned"],
        held=document["held_seconds"],
        seen=document["seen"],
        in_block=document["in_block"],
        outlasted=document["outlasted"],
    )


def _parse_row_check(document: Mapping[str, Any]) -> RowCheck:
    return RowCheck(
        document["constraint"],
        document["kind"],
        document["table"],
        document["rows"],
        more=document["more"],
        keys=tuple(document["keys"]),
        written=not document["final"],
        reason=document["not_checked"] or "",
        address=document["address"] or "",
    )


def _parse_step(document: Mapping[str, Any]) -> StepTouches:
    touches = {Touched(one["kind"], one["name"]): one for one in document["touches"]}
    return StepTouches(
        document["address"],
        document["step"],
        {touched: one["lock"] or "" for touched, one in touches.items()},
        frozenset(touched for touched, one in touches.items() if one["may_change"]),
        frozenset(document["words"]),
        None
        if document["leaves"] is None
        else {
            (each["kind"], each["name"], each["of"] or ""): each["digest"] or ""
            for each in document["leaves"]
        },
    )


def _row_check_document(check: RowCheck) -> Document:
    return {
        "constraint": check.constraint,
        "kind": check.kind,
        "table": check.table,
        "address": check.address or None,
        "rows": check.rows,
        "more": check.more,
        "keys": list(check.keys),
        "final": not check.written,
        "not_checked": check.reason or None,
    }


def _lock_document(lock: TableLock) -> Document:
    return {
        "address": lock.address,
        "line": lock.line,
        "kind": lock.table.kind,
        "table": lock.table.name,
        "mode": lock.mode,
        "blocks": lock.blocks or None,
        "rewritten": lock.rewritten,
        "scanned": lock.scanned,
        "in_block": lock.in_block,
        "outlasted": lock.outlasted,
        "held_seconds": None if lock.held is None else round(lock.held, 3),
        "seen": lock.seen,
    }


def _size_document(size: LiveSize) -> Document:
    return {**_object_document(size.object), "rows": size.rows, "bytes": size.bytes, "empty": size.empty}


def _object_document(item: SchemaObject) -> Document:
    return {"kind": item.kind, "name": item.name, "of": item.parent or None}


def schema_change_document(change: SchemaChange, *, bodies: bool = True) -> Document:
    part = change.object
    shown = bodies or not change.has_body
    return {
        "action": change.action,
        "kind": part.kind,
        "name": part.name,
        "of": part.parent or None,
        "before": change.before if shown else None,
        "after": change.after if shown else None,
        "new_name": change.new_name or None,
    }
