"""What an agent can do, each as one function from arguments to a document. None of them asks anybody anything.

The documents are those of `--output json`. MosaicErrors are raised; `server.py` makes documents of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mosaic_deploy import deploy
from mosaic_deploy.agent.account import Target, apply_command, inside
from mosaic_deploy.cli.account.reading import reading
from mosaic_deploy.cli.api_access import open_account
from mosaic_deploy.cli.commit import commit_of
from mosaic_deploy.cli.holder import holder
from mosaic_deploy.cli.render.documents import (
    Document,
    apply_document,
    plan_document,
    status_document,
)
from mosaic_deploy.cli.session import Session
from mosaic_deploy.cli.validate import checked
from mosaic_deploy.diff.policy import refuse_denied
from mosaic_deploy.errors import (
    DestructiveUnconfirmed,
    MigrationError,
    MosaicError,
    NextAction,
    PlanStale,
    Problem,
)
from mosaic_deploy.live.projects import existing, read_projects
from mosaic_deploy.live.tickets import submit
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.shipped_docs import explanation, near_codes
from mosaic_deploy.source.manifest import read_manifest, read_manifest_text

MOST_ROWS = 1000


def validate(root: Path, path: str, text: str | None, environment: str | None) -> Document:
    """Checks a manifest, SQL and files without a network; `text` stands for the manifest's where it is given."""
    place = inside(root, path)
    if text is None:
        manifest = read_manifest(place, environment=environment)
    else:
        folder = place if place.is_dir() else place.parent
        manifest = read_manifest_text(text, folder, environment=environment)
    return {"type": "validate", "valid": True, "manifest": manifest.file.name, **_checked(manifest)}


def plan(target: Target) -> Document:
    """What an apply would do, with the fingerprint that `apply` wants to see."""
    with target.open() as session:
        return plan_document(_planned(session).plan)


def apply(target: Target, fingerprint: str) -> Document:
    """Applies the plan of that fingerprint, where it is still what would be done.

    Raises PlanStale where it isn't, PolicyDenied, and DestructiveUnconfirmed: what destroys data is a
    person's to apply.
    """
    with target.open() as session:
        planned = _planned(session)
        if planned.plan.fingerprint != fingerprint:
            raise PlanStale(
                "this isn't what would be applied now: files or the live project are not as in that plan",
                hint="call plan again, look at it, and apply with its fingerprint",
            )
        _refuse_persons_work(session, planned)
        if planned.plan.empty and not planned.unverified:
            return {"type": "apply", "plan": plan_document(planned.plan), "done": [], "error": None}
        options = deploy.ApplyOptions(
            holder=f"{holder()}, by an agent",
            again=apply_command(session),
            commit=commit_of(session.manifest.root),
        )
        last = deque(deploy.apply(session.api, planned, options), maxlen=1).pop()
        error = getattr(last, "error", None)
        if isinstance(error, MosaicError):
            session.complete(error)
        return apply_document(planned.plan, last)


def status(target: Target) -> Document:
    """What is live, who deployed last, and what is pending."""
    with target.open() as session:
        desired, live = deploy.read_both(session.api, session.manifest, session.target)
        try:
            return status_document(live, deploy.compare(session.api, desired, live).plan)
        except MigrationError as error:
            session.complete(error)
            return status_document(live, error)


def query(target: Target, sql: str, limit: int) -> Document:
    """The first rows that a reading query answers. Raises SqlRefused for any other, SqlFailed."""
    asked = max(1, min(limit, MOST_ROWS))
    # One more than asked, to tell whether there are more.
    statement = reading(sql, "query", asked + 1)
    with target.open() as session:
        meant = session.target
        project = existing(session.api, id=meant.id, name=meant.name, hint=meant.hint)
        rows = session.api.sql(project.id, statement)
    return {"type": "rows", "rows": rows[:asked], "more": len(rows) > asked}


def projects(root: Path, *, local: bool) -> Document:
    """The account's projects."""
    with open_account(root, local=local) as api:
        return {"type": "projects", "projects": [asdict(project) for project in read_projects(api)]}


def ticket(root: Path, subject: str, message: str, project_id: str | None, *, local: bool) -> Document:
    """Submits a support ticket."""
    with open_account(root, local=local) as api:
        return {"type": "ticket", **submit(api, subject, message, project_id)}


def inbox() -> Document:
    """The newest mails that the embedded platform would have sent."""
    from mosaic_deploy.cli.embedded import read_inbox

    return {"type": "inbox", "mails": read_inbox()}


def explain(code: str) -> Document:
    """Cause and cure of a code. Raises LookupError with near ones."""
    found = explanation(code)
    if found is None:
        near = near_codes(code)
        raise LookupError(
            f"there is no code {code!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    return {"type": "explanation", "code": found.code, "text": found.text}


def _checked(manifest: Manifest) -> dict[str, Any]:
    found = checked(manifest).snapshot
    return {
        "migrations": len(found.migrations or ()),
        "static_files": len(found.static or ()),
        "assets": len(found.storage or ()),
    }


def _planned(session: Session) -> deploy.Planned:
    return deploy.plan(session.api, session.manifest, session.target)


def _refuse_persons_work(session: Session, planned: deploy.Planned) -> None:
    refuse_denied(planned.plan)
    if planned.plan.to_confirm:
        raise DestructiveUnconfirmed(
            "data would be destroyed: a person has to agree to that, so nothing was changed",
            problems=[Problem(hazard.message, hazard.location) for hazard in planned.plan.to_confirm],
            hint="show the plan to a person; they apply it at a terminal",
            next_actions=[NextAction("for a person, at a terminal", apply_command(session))],
        )
