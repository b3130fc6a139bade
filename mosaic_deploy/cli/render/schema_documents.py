"""Changes of a database's schema as JSON-ready documents: drift, and what a rehearsal saw."""

from __future__ import annotations

from typing import Any

from mosaic_deploy.model.catalog import LiveSize, Rehearsal, SchemaChange, SchemaDrift, TableLock
from mosaic_deploy.model.hazard import RowCheck

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
            }
            for each in rehearsal.done
        ],
        "base": rehearsal.base or None,
        "result": rehearsal.result or None,
        "postgres": rehearsal.server or None,
        "live_postgres": rehearsal.live_server or None,
        "row_checks": [_row_check_document(each) for each in rehearsal.row_checks],
        "live_sizes": [_size_document(each) for each in rehearsal.sizes],
        "refuted": [{"code": each.code, "location": str(each.location)} for each in rehearsal.refuted],
        "checks_not_made": rehearsal.unmade_checks,
        "remarks": list(rehearsal.remarks),
        "not_rehearsed": rehearsal.not_rehearsed or None,
        "differences": [schema_change_document(each, bodies=False) for each in rehearsal.differences],
    }


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
    item = size.object
    return {
        "kind": item.kind,
        "name": item.name,
        "of": item.parent or None,
        "rows": size.rows,
        "bytes": size.bytes,
        "empty": size.empty,
    }


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
