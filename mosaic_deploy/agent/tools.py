"""The tools, each a function from arguments to a document as in `--output json`.

They raise MosaicError's children, of which `server.py` makes documents. None of them asks for confirmation.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mosaic_deploy import deploy
from mosaic_deploy.agent.account import ToolTarget, open_tool_api, refuse_outside, resolve_manifest
from mosaic_deploy.cli.builds.step import When, ensure_built
from mosaic_deploy.cli.commands.database.query import locating_errors, prepare_read_only_query
from mosaic_deploy.cli.commands.deploy.validate import check_manifest
from mosaic_deploy.cli.commands.inspect.explain import require_explanation
from mosaic_deploy.cli.render.build_report import BuildReport
from mosaic_deploy.cli.render.json_documents import (
    apply_document,
    plan_document,
    status_document,
    validate_document,
)
from mosaic_deploy.cli.render.schema_documents import Document
from mosaic_deploy.cli.target.ancestry import commit_comparison
from mosaic_deploy.cli.target.commit import read_commit, uncommitted_files
from mosaic_deploy.cli.target.identity import holder, local_processes
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.diff.gate import AGENT, Actor, Consent, needs_person
from mosaic_deploy.diff.policy import refuse_denied, unconfirmed_error
from mosaic_deploy.errors import (
    MigrationError,
    MosaicError,
    NextAction,
    PlanStale,
    ResultTooLarge,
)
from mosaic_deploy.live.api.operations import submit_ticket
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.live.database.read_only import run_read_only
from mosaic_deploy.live.find_project import find_existing_project
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.quantities import age_text
from mosaic_deploy.source.manifest.read import try_read_manifest, try_read_manifest_text

MAX_ROWS = 1000
MAX_BYTES = 256 * 1024
"""Limit of a query's rows as compact JSON."""
_MAX_BYTES_TEXT = f"{MAX_BYTES // 1024} KiB of JSON"
_MAX_PATHS = 100
"""Public paths of storage files in the result of `validate`; `storage` has their number."""
_REPLAN_HINT = "call plan again, review it, and call apply with its fingerprint"


def validate(root: Path, path: str, text: str | None, environment: str | None) -> Document:
    """Checks a manifest, SQL and files without a network; `text`, if given, replaces the manifest's content."""
    absolute_path = resolve_manifest(root, path)
    if text is None:
        manifest, refused = try_read_manifest(absolute_path, environment=environment)
    else:
        folder = absolute_path if absolute_path.is_dir() else absolute_path.parent
        manifest, refused = try_read_manifest_text(text, folder, environment=environment)
    refuse_outside(root, manifest)
    document = validate_document(check_manifest(manifest, refused))
    paths = dict(islice(document["storage_paths"].items(), _MAX_PATHS))
    return {**document, "storage_paths": paths, "manifest": manifest.file.name}


def plan(target: ToolTarget) -> Document:
    """The plan, with the fingerprint that `apply` needs, and what in it a person must approve before that."""
    with target.open("plan") as session:
        _build(session, target)
        made = _rehearse(session, _make_plan(session)).plan
        needed = needs_person(made, session.manifest.policy, Actor(target.allow, is_agent=True))
        approvals = [{"value": each.allow, "effect": each.effect} for each in needed]
        return {**_plan_document(made), "needs_person": approvals}


def apply(target: ToolTarget, fingerprint: str) -> Document:
    """Applies the plan with that fingerprint, or reports that it was applied already.

    Raises PlanStale if another plan would be applied now, PolicyDenied, and the errors of `unconfirmed_error`: only a
    person can apply what must be approved.
    """
    with target.open("apply") as session:
        _build(session, target)
        planned = _make_plan(session)
        same = planned.plan.fingerprint == fingerprint
        if not planned.has_work and (same or _last_deploy(planned).get("plan") == fingerprint):
            refuse_denied(planned.plan)
            return _already_applied(planned)
        if not same:
            raise _stale_error(session, planned, fingerprint)
        planned = _rehearse(session, planned)
        _refuse_unapproved(session, planned, target.allow)
        options = deploy.ApplyOptions(
            holder=f"{holder()}, by an agent",
            retry_command=session.scope.command("apply"),
            processes=local_processes(),
            commit=read_commit(session.manifest.root),
            dirty=bool(uncommitted_files(session.manifest)),
            consent=Consent(AGENT, target.allow),
        )
        last = deque(deploy.apply(session.api, planned, options), maxlen=1).pop()
        error = getattr(last, "error", None)
        if isinstance(error, PlanStale):
            # The command for a terminal would apply another plan than the one that was reviewed.
            error.hint, error.next_actions, error.retryable = _REPLAN_HINT, (), False
        if isinstance(error, MosaicError):
            session.complete_error(error)
        return {**apply_document(planned.plan, last), "plan": _plan_document(planned.plan)}


def status(target: ToolTarget) -> Document:
    """What is live, the last deploy, and what is pending."""
    with target.open("status", "if_there") as session:
        options = deploy.PlanOptions(unbuilt=True)
        desired, live = deploy.read_desired_and_live(session.api, session.manifest, session.target, options)
        if not session.manifest.file.is_file():
            return status_document(live, None)
        try:
            compared = deploy.compare(session.api, desired, live).with_run_notes(None)
            return status_document(live, session.complete_texts(compared).plan)
        except MigrationError as error:
            session.complete_error(error)
            return status_document(live, error)


def query(target: ToolTarget, sql: str, limit: int) -> Document:
    """The first rows of a read-only query, up to MAX_BYTES. Raises SqlNotReadOnly, SqlFailed and ResultTooLarge."""
    row_limit = max(1, min(limit, MAX_ROWS))
    # One more row shows whether there are more.
    read_query = prepare_read_only_query(sql, "query", row_limit + 1, MAX_BYTES)
    with target.open("query", "project_only") as session:
        target_project = session.target
        project = find_existing_project(
            session.api, id=target_project.id, name=target_project.name, hint=target_project.hint
        )
        with locating_errors(sql, read_query.text, "query"):
            found = run_read_only(session.api.for_database(""), project.id, read_query)
    expected = min(row_limit, found.total)
    rows = _truncate_rows(found.rows[:row_limit])
    if expected and not rows:
        raise ResultTooLarge(
            f"the first row alone is larger than {_MAX_BYTES_TEXT}, the limit of a query's result",
            hint="select only the columns you need, or a part of a long value: left(column, 1000)",
        )
    result: Document = {"type": "rows", "rows": rows, "more": found.total > len(rows)}
    if len(rows) < expected:
        result["hint"] = (
            f"stopped at {_MAX_BYTES_TEXT}: select only the columns you need, or get the rest with OFFSET"
        )
    return result


def _truncate_rows(rows: list[Row]) -> list[Row]:
    """As many whole rows as fit MAX_BYTES. PostgreSQL has limited them already, except for EXPLAIN."""
    size = 0
    for number, row in enumerate(rows):
        size += len(json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str).encode())
        if size > MAX_BYTES:
            return rows[:number]
    return rows


def projects(root: Path, *, local: bool) -> Document:
    """The account's projects."""
    with open_tool_api(root, "list_projects", local=local) as api:
        return {"type": "projects", "projects": [asdict(project) for project in read_projects(api)]}


def ticket(root: Path, subject: str, message: str, project_id: str | None, *, local: bool) -> Document:
    """Submits a support ticket."""
    with open_tool_api(root, "submit_ticket", local=local) as api:
        return {"type": "ticket", **submit_ticket(api, subject, message, project_id)}


def inbox() -> Document:
    """The newest emails of the embedded platform."""
    from mosaic_deploy.cli.target.embedded import read_inbox

    return {"type": "inbox", "emails": read_inbox()}


def explain(code: str) -> Document:
    """The meaning, causes and fix of a code. Raises UsageInvalid with similar codes."""
    found = require_explanation(code)
    return {"type": "explanation", "code": found.code, "source": found.source, "text": found.text}


def _build(session: Session, target: ToolTarget) -> None:
    """Builds if that is needed and allowed; else a note of the plan says what isn't built. Raises as `ensure_built`."""
    ensure_built(session.manifest, When.NEEDED if target.build else When.NEVER, BuildReport())


def _make_plan(session: Session) -> deploy.PreparedPlan:
    options = deploy.PlanOptions(compare_commit=commit_comparison(session.manifest))
    return session.make_plan(options)


def _rehearse(session: Session, planned: deploy.PreparedPlan) -> deploy.PreparedPlan:
    """If agents may apply only proven plans, also the first deploy to the embedded platform. Raises RehearsalFailed."""
    proven = (session.manifest.policy or PolicySpec()).agents == "proven"
    return session.rehearse(planned, None, always=proven, command=session.scope.command("plan"))


def _plan_document(made: Plan) -> Document:
    """The plan without the digests of live objects, with which only an apply of a saved plan compares."""
    document = plan_document(made)
    if rehearsal := document["rehearsal"]:
        document["rehearsal"] = {**rehearsal, "objects": []}
    return document


def _last_deploy(planned: deploy.PreparedPlan) -> Mapping[str, Any]:
    """The newest deploy's row; empty if there is none."""
    return planned.live.ledger_facts.get("last") or {}


_DEPLOY_FIELDS = ("id", "status", "holder", "started_at", "finished_at")


def _already_applied(planned: deploy.PreparedPlan) -> Document:
    """The result of applying a plan that is applied already, with the deploy that did it."""
    last = _last_deploy(planned)
    return {
        "type": "apply",
        "already_applied": True,
        "deploy": {name: last.get(name) for name in _DEPLOY_FIELDS} if last else None,
        "project": asdict(planned.plan.project),
        "plan": _plan_document(planned.plan),
        "done": [],
        "error": None,
    }


def _stale_error(session: Session, planned: deploy.PreparedPlan, fingerprint: str) -> PlanStale:
    """Not retryable: only a call with another fingerprint can succeed."""
    last = _last_deploy(planned)
    reason = "the manifest, files or the live project changed since that plan"
    if last.get("plan") == fingerprint:
        ended = "was applied" if last.get("status") == "done" else f"ended as {last.get('status')}"
        reason = f"that plan {ended} {age_text(str(last.get('finished_at')))} (deploy {last.get('id')})"
    error = PlanStale(
        f"this plan is stale: {reason}",
        hint="call plan again, show the plan to your user, and call apply with its fingerprint",
        next_actions=[NextAction("see the current plan", session.scope.command("plan"))],
    )
    error.retryable = False
    return error


def _refuse_unapproved(session: Session, planned: deploy.PreparedPlan, allow: frozenset[str]) -> None:
    """Raises PolicyDenied, or an `unconfirmed_error`: an agent can't approve anything itself."""
    refuse_denied(planned.plan)
    if missing := needs_person(planned.plan, session.manifest.policy, Actor(allow, is_agent=True)):
        raise unconfirmed_error(
            missing,
            "show the plan to your user, who can apply it at a terminal",
            [
                NextAction(
                    "a person can apply it at a terminal", session.scope.command("apply"), needs_person=True
                )
            ],
        )
