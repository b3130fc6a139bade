"""What an agent can do, each as one function from arguments to a document. None of them asks anybody anything.

The documents are those of `--output json`. MosaicErrors are raised; `server.py` makes documents of them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mosaic_deploy import deploy
from mosaic_deploy.agent.account import Target, inside, opened_account
from mosaic_deploy.cli.commands.database.query import reading, telling_place
from mosaic_deploy.cli.commands.deploy.validate import checked
from mosaic_deploy.cli.commands.inspect.explain import explained
from mosaic_deploy.cli.render.documents import (
    Document,
    apply_document,
    plan_document,
    status_document,
    valid_document,
)
from mosaic_deploy.cli.target.commit import commit_of
from mosaic_deploy.cli.target.identity import holder, witness
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.diff.policy import refuse_denied
from mosaic_deploy.errors import (
    DestructiveUnconfirmed,
    MigrationError,
    MosaicError,
    NextAction,
    PlanStale,
    Problem,
    SqlRefused,
)
from mosaic_deploy.live.api.operations import submit
from mosaic_deploy.live.api.projects import existing, read_projects
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.live.database.read_only import read
from mosaic_deploy.source.manifest.read import try_manifest, try_manifest_text

MOST_ROWS = 1000
MOST_BYTES = 256 * 1024
"""Of a query's rows as JSON."""
_MOST = f"{MOST_BYTES // 1024} KiB of JSON"
_PLAN_AGAIN = "call plan again, look at it, and apply with its fingerprint"


def validate(root: Path, path: str, text: str | None, environment: str | None) -> Document:
    """Checks a manifest, SQL and files without a network; `text` stands for the manifest's where it is given."""
    place = inside(root, path)
    if text is None:
        manifest, refused = try_manifest(place, environment=environment)
    else:
        folder = place if place.is_dir() else place.parent
        manifest, refused = try_manifest_text(text, folder, environment=environment)
    return {**valid_document(checked(manifest, refused)), "manifest": manifest.file.name}


def plan(target: Target) -> Document:
    """What an apply would do, with the fingerprint that `apply` wants to see."""
    with target.open("plan") as session:
        return plan_document(_planned(session).plan)


def apply(target: Target, fingerprint: str) -> Document:
    """Applies the plan of that fingerprint, where it is still what would be done; says so where it is done already.

    Raises PlanStale where it is neither, PolicyDenied, and DestructiveUnconfirmed: what destroys data is a
    person's to apply.
    """
    with target.open("apply") as session:
        planned = _planned(session)
        same = planned.plan.fingerprint == fingerprint
        if not planned.due and (same or _last(planned).get("plan") == fingerprint):
            return _nothing_left(planned)
        if not same:
            raise _stale(session, planned, fingerprint)
        _refuse_persons_work(session, planned)
        options = deploy.ApplyOptions(
            holder=f"{holder()}, by an agent",
            again=session.scope.command("apply"),
            witness=witness(),
            commit=commit_of(session.manifest.root),
        )
        last = deque(deploy.apply(session.api, planned, options), maxlen=1).pop()
        error = getattr(last, "error", None)
        if isinstance(error, PlanStale):
            # A command for a terminal would apply another plan than the one that was looked at.
            error.hint, error.next_actions, error.retryable = _PLAN_AGAIN, (), False
        if isinstance(error, MosaicError):
            session.complete(error)
        return apply_document(planned.plan, last)


def status(target: Target) -> Document:
    """What is live, who deployed last, and what is pending."""
    with target.open("status") as session:
        desired, live = deploy.read_both(session.api, session.manifest, session.target)
        try:
            return status_document(live, deploy.compare(session.api, desired, live).plan)
        except MigrationError as error:
            session.complete(error)
            return status_document(live, error)


def query(target: Target, sql: str, limit: int) -> Document:
    """The first rows that a reading query answers, MOST_BYTES of them. Raises SqlRefused for any other, SqlFailed."""
    asked = max(1, min(limit, MOST_ROWS))
    # One more than asked, to tell whether there are more.
    question = reading(sql, "query", asked + 1, MOST_BYTES)
    with target.open("query") as session:
        meant = session.target
        project = existing(session.api, id=meant.id, name=meant.name, hint=meant.hint)
        with telling_place(sql, question.text, "query"):
            found = read(session.api.meaning(""), project.id, question)
    wanted = min(asked, found.total)
    rows = _fitting(found.rows[:asked])
    if wanted and not rows:
        raise SqlRefused(
            f"the first row alone has more than {_MOST}, which is what a query answers at most",
            hint="name the columns that are needed, or take a part of a long value: left(column, 1000)",
        )
    answer: Document = {"type": "rows", "rows": rows, "more": found.total > len(rows)}
    if len(rows) < wanted:
        answer["hint"] = (
            f"cut before {_MOST}: name the columns that are needed, or ask for the rest with OFFSET"
        )
    return answer


def _fitting(rows: list[Row]) -> list[Row]:
    """The first rows, whole, of MOST_BYTES. PostgreSQL has counted most of them; not the lines of a plan."""
    size = 0
    for number, row in enumerate(rows):
        size += len(json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str).encode())
        if size > MOST_BYTES:
            return rows[:number]
    return rows


def projects(root: Path, *, local: bool) -> Document:
    """The account's projects."""
    with opened_account(root, "list_projects", local=local) as api:
        return {"type": "projects", "projects": [asdict(project) for project in read_projects(api)]}


def ticket(root: Path, subject: str, message: str, project_id: str | None, *, local: bool) -> Document:
    """Submits a support ticket."""
    with opened_account(root, "submit_ticket", local=local) as api:
        return {"type": "ticket", **submit(api, subject, message, project_id)}


def inbox() -> Document:
    """The newest mails that the embedded platform would have sent."""
    from mosaic_deploy.cli.target.embedded import read_inbox

    return {"type": "inbox", "mails": read_inbox()}


def explain(code: str) -> Document:
    """Cause and cure of a code. Raises UsageRefused with near ones."""
    found = explained(code)
    return {"type": "explanation", "code": found.code, "source": found.source, "text": found.text}


def _planned(session: Session) -> deploy.Planned:
    return deploy.plan(session.api, session.manifest, session.target)


def _last(planned: deploy.Planned) -> Mapping[str, Any]:
    """The newest deploy's row; empty where there is none."""
    return planned.live.facts.get("last") or {}


_TOLD_OF_A_DEPLOY = ("id", "status", "holder", "started_at", "finished_at")


def _nothing_left(planned: deploy.Planned) -> Document:
    """An apply that has nothing to do: live is what the plan gives, by the deploy that made it so."""
    last = _last(planned)
    return {
        "type": "apply",
        "already_applied": True,
        "deploy": {name: last.get(name) for name in _TOLD_OF_A_DEPLOY} if last else None,
        "project": asdict(planned.plan.project),
        "plan": plan_document(planned.plan),
        "done": [],
        "error": None,
    }


def _stale(session: Session, planned: deploy.Planned, fingerprint: str) -> PlanStale:
    """The same call can't succeed later: only another fingerprint can."""
    last = _last(planned)
    told = "files, manifest or the live project are not as they were in that plan"
    if last.get("plan") == fingerprint:
        ended = "was applied" if last.get("status") == "done" else f"ended as {last.get('status')}"
        told = f"that plan {ended} at {last.get('finished_at')} (deploy {last.get('id')}), and this is another one"
    error = PlanStale(
        f"this isn't what would be applied now: {told}",
        hint="call plan again, show what it says to whom you work for, and call apply with its fingerprint",
        next_actions=[NextAction("see what would be applied now", session.scope.command("plan"))],
    )
    error.retryable = False
    return error


def _refuse_persons_work(session: Session, planned: deploy.Planned) -> None:
    refuse_denied(planned.plan)
    if planned.plan.to_confirm:
        raise DestructiveUnconfirmed(
            "data would be destroyed: a person has to agree to that, so nothing was changed",
            problems=[Problem(hazard.message, hazard.location) for hazard in planned.plan.to_confirm],
            hint="show the plan to a person; they apply it at a terminal",
            next_actions=[
                NextAction("for a person, at a terminal", session.scope.command("apply"), needs_person=True)
            ],
        )
