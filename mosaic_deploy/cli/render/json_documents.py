"""Model values as JSON-ready documents, the same for `json`, `ndjson` and the MCP server."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from mosaic_deploy.cli.render.schema_documents import Document, drift_document, rehearsal_document
from mosaic_deploy.diff.schema_drift import schema_drift
from mosaic_deploy.errors import Location, MosaicError, NextAction, Problem
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.event import ApplyFailed, ChangeDone, Event, StepReport, StillRunning
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.migration_history import MigrationStatus
from mosaic_deploy.model.plan import STATUS_CODES, Note, Plan, change_facts
from mosaic_deploy.model.snapshot import Objects, Project

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import LiveState
    from mosaic_deploy.source.snapshot import Desired

FORMAT = 1
"""The version of these documents; raised by changes that could break a reader."""
_LOCATION = re.compile(r"(.*?)(?::(\d+))?(?::(\d+))?", re.DOTALL)
_ERROR_FIELDS = ("sqlstate", "detail", "pg_hint", "calls", "notices", "status", "request_id", "operation")


def stdout_needs_ascii() -> bool:
    """JSON is UTF-8; if stdout has another encoding, only ASCII is safe."""
    return not sys.stdout.encoding.lower().replace("-", "").startswith("utf8")


def plan_document(plan: Plan) -> Document:
    return {
        "type": "plan",
        "project": asdict(plan.project),
        "environment": plan.environment,
        "summary": asdict(plan.counts),
        "changes": [change_facts(change) for change in plan.changes],
        "notes": [asdict(note) for note in plan.notes],
        "storage_urls": dict(plan.storage_urls),
        "hazards": [hazard_document(hazard) for hazard in plan.findings],
        "policy": {
            "denied": [_problem(problem) for problem in plan.denials],
            "to_confirm": len(plan.to_confirm),
            "to_prune": plan.prune_count,
            "to_overwrite": plan.overwrite_count,
        },
        "drift": drift_document(plan.drift, bodies=False),
        "rehearsal": rehearsal_document(plan.rehearsal),
        "selection": _selection(plan),
        "fingerprint": plan.fingerprint,
    }


def _selection(plan: Plan) -> Document | None:
    """`--only`, `--except` and the changes they leave out; None without these options."""
    if not (plan.only or plan.excluded):
        return None
    return {"only": list(plan.only), "except": list(plan.excluded), "left_out": list(plan.left_out)}


def hazard_document(hazard: Hazard) -> Document:
    return {
        "code": hazard.code,
        "severity": str(hazard.severity),
        "message": hazard.message,
        "object": hazard.object,
        "location": location_document(hazard.location),
        "instead": hazard.instead,
        "ignored": hazard.ignored or None,
    }


def lint_document(hazards: Sequence[Hazard], files: int) -> Document:
    """The number of files, and of findings per severity without the silenced ones."""
    counts = Counter(str(hazard.severity) for hazard in hazards if not hazard.ignored)
    summary = {str(severity): counts[str(severity)] for severity in HazardSeverity}
    return {"type": "lint", "files": files, "summary": summary}


def event_document(event: Event | StillRunning) -> Document:
    """An event's fields by name, with changes and errors as documents."""
    fields = {name: _event_value(getattr(event, name)) for name in event.__dataclass_fields__}
    if not fields.get("steps", True):
        del fields["steps"]  # a change without SQL
    return {"type": event.type, **fields}


def error_document(error: MosaicError) -> Document:
    document: Document = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "location": location_document(error.location),
        "problems": [_problem(problem) for problem in error.problems],
        "retryable": error.retryable,
        "safe_to_retry": error.safe_to_retry,
        "mutation_state": error.mutation_state,
        "next_actions": [asdict(action) for action in error.next_actions],
    }
    facts = {
        name: getattr(error, name) for name in _ERROR_FIELDS if getattr(error, name, None) not in (None, ())
    }
    return {**document, **facts}


def failure_document(failed: ApplyFailed) -> Document:
    """The addresses that are done, failed and remaining."""
    return {
        "done": list(failed.done),
        "failed": failed.failed,
        "remaining": list(failed.remaining),
        "seconds": round(failed.seconds, 3),
    }


def apply_document(plan: Plan, last: Event, with_sql: Sequence[ChangeDone] = ()) -> Document:
    """The plan and the outcome of an apply, from its last event; `error` is None on success.

    `with_sql`: the migrations and seeds that are done.
    """
    sql = [
        {"address": one.change.address, "seconds": round(one.seconds, 3), "steps": _event_value(one.steps)}
        for one in with_sql
    ]
    planned = {"type": "apply", "plan": plan_document(plan), "sql": sql}
    if isinstance(last, ApplyFailed):
        return {**planned, **failure_document(last), "error": error_document(last.error)}
    return {**event_document(last), **planned, "error": None}


def status_document(
    live: LiveState, pending: Plan | MosaicError | None, next_actions: Sequence[NextAction] = ()
) -> Document:
    """`files` and `bytes` are what is live; `not_live` counts files that should be and aren't; `notes` are about removed sections, and a build that isn't up to date.

    The steps of a migration are null once it is applied: an unchanged history isn't read again.
    """
    snapshot = live.snapshot
    drift = schema_drift(live.schema, deploying=bool(live.ledger_facts.get("lease")))
    problem = pending if isinstance(pending, MosaicError) else None
    notes = pending.notes if isinstance(pending, Plan) else ()
    return {
        "type": "status",
        "project": asdict(snapshot.project),
        "migrations": [
            {
                "version": m.version,
                "file": m.file,
                "applied": m.applied,
                "steps": None if m.applied else m.steps,
                "steps_done": None if m.applied else m.steps_done,
            }
            for m in snapshot.migrations or ()
        ],
        "static": _live_facts(snapshot.static or {}),
        "storage": {
            **_live_facts(snapshot.storage or {}),
            "urls": {name: url for name, (_, url) in (live.storage_files or {}).items()},
        },
        "auth": snapshot.auth,
        "last_deploy": _last_deploy(live.ledger_facts.get("last")),
        "lock": live.ledger_facts.get("lease"),
        "drift": drift_document(drift, bodies=False),
        "pending": asdict(pending.counts) if isinstance(pending, Plan) else None,
        "problem": error_document(problem) if problem else None,
        "notes": [asdict(note) for note in notes if note.code in STATUS_CODES],
        "next_actions": [asdict(action) for action in next_actions],
    }


def _last_deploy(recorded: Document | None) -> Document | None:
    """The row of the last deploy; the location of its error is recorded as text."""
    report = (recorded or {}).get("report") or {}
    error = report.get("error") or {}
    if recorded is None or not error.get("location"):
        return recorded
    found = _LOCATION.fullmatch(error["location"])
    assert found is not None, "every text has a file"
    line, column = (int(number) if number else None for number in found.group(2, 3))
    place = location_document(Location(found[1], line, column))
    return {**recorded, "report": {**report, "error": {**error, "location": place}}}


def _live_facts(objects: Objects) -> Document:
    live = [o for o in objects.values() if o.live]
    return {"files": len(live), "bytes": sum(o.size for o in live), "not_live": len(objects) - len(live)}


def validate_document(desired: Desired) -> Document:
    """The number of migrations, of files per section, and of files that `.mosaicignore` leaves out; the paths of storage files on
    the embedded platform by name."""
    from mosaic_deploy.live.storage_urls import storage_paths

    snapshot = desired.snapshot
    return {
        "type": "validate",
        "valid": True,
        "manifest": str(desired.manifest.file),
        "migrations": len(snapshot.migrations or ()),
        "static": len(snapshot.static or ()),
        "storage": len(snapshot.storage or ()),
        "storage_paths": storage_paths(snapshot.storage or ()),
        "ignored": desired.ignored,
        "notes": [asdict(note) for note in desired.notes],
    }


def history_document(project: Project, lines: Sequence[MigrationStatus]) -> Document:
    return {
        "type": "migrations",
        "project": asdict(project),
        "migrations": [_migration_document(line) for line in lines],
    }


def _migration_document(line: MigrationStatus) -> Document:
    entry = line.entry
    return {
        "version": line.version,
        "file": line.file,
        "state": str(line.state),
        "applied_as": line.applied_as or None,
        "steps": line.steps or entry.migration.steps if entry else None,
        "steps_done": entry.migration.steps_done if entry else 0,
        "step_begun": abs(entry.attempt) or None if entry else None,
        "cause": entry.cause or None if entry else None,
        "applied_at": entry.at if entry else None,
        "applied_by": entry.by if entry else None,
        "origin": entry.origin if entry else None,
        "next_actions": [asdict(action) for action in line.next_actions],
    }


def _event_value(value: object) -> object:
    match value:
        case MosaicError():
            found: object = error_document(value)
        case _ if isinstance(value, Change):
            found = change_facts(value)
        case Note() | Project() | StepReport():
            found = asdict(value)
        case float():
            found = round(value, 3)
        case tuple():
            found = [_event_value(item) for item in value]
        case _:
            found = value
    return found


def _problem(problem: Problem) -> Document:
    return {
        "message": problem.message,
        "field": problem.field or None,
        "hint": problem.hint,
        "location": location_document(problem.location),
        **({"diff": problem.diff} if problem.diff else {}),
        **({"code": problem.code} if problem.code else {}),
    }


def location_document(location: Location | None) -> Mapping[str, object] | None:
    """File, line and column."""
    if location is None:
        return None
    return {"file": location.file, "line": location.line, "column": location.column}
