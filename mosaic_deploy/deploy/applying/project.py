"""The project of an apply: creates it if needed, and waits until it runs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator

from mosaic_deploy.deploy.applying.run import ApplyOptions
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.errors import LockHeld, MosaicError, PlanStale, ProjectAmbiguous, ProjectExists
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import (
    Creation,
    create_project,
    duplicate_project_error,
    wait_until_running,
)
from mosaic_deploy.live.ledger.lease import WaitPolicy, acquire_lease, release_lease
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest
from mosaic_deploy.live.ledger.tables import install_sql
from mosaic_deploy.model.change import CreateProject
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event, Noted, ProjectReady, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Project


def ensure_project(
    api: Api, planned: PreparedPlan, options: ApplyOptions, deploy_id: str
) -> Generator[Event, None, Project]:
    """The running project. Raises ProjectNotReady, and PlanStale or ProjectAmbiguous if another deploy created one."""
    project = planned.plan.project
    creation = next((change for change in planned.plan.changes if isinstance(change, CreateProject)), None)
    if creation is None:
        project = yield from _wait(api, project, options)
    else:
        began = time.monotonic()
        yield ChangeStarted(creation)
        created = _create_project(api, creation.name)
        try:
            project = yield from _wait(api, created.project, options)
            for rival in created.rivals:
                yield from _exclude(api, created.project, rival, options, deploy_id)
        except MosaicError as error:
            error.mutation_state = "partial"
            raise
        yield ChangeDone(creation, time.monotonic() - began)
    yield ProjectReady(project, created=creation is not None)
    return project


def _wait(api: Api, project: Project, options: ApplyOptions) -> Generator[Event, None, Project]:
    for event in wait_until_running(api, project, timeout=options.provision_wait):
        if isinstance(event, Waiting):
            yield event
        else:
            project = event
    return project


def _create_project(api: Api, name: str) -> Creation:
    """Raises PlanStale if a project of this name was created since the plan was made."""
    try:
        return create_project(api, name)
    except ProjectExists as error:
        raise PlanStale(
            f"another deploy was faster: {error.message}",
            hint="run the command again to deploy to that project",
        ) from error


def _exclude(
    api: Api, mine: Project, rival: Project, options: ApplyOptions, deploy_id: str
) -> Iterator[Event]:
    """Makes the plan of the deploy that created `rival` stale, by taking the lease there first.

    That deploy may have seen only its own project. The deploy that takes that lease first continues, so never both.
    Raises ProjectAmbiguous if that deploy has begun.
    """
    yield from _wait(api, rival, options)
    message = f"another deploy created {mine.id} at the same time, and continues there"
    claim = LeaseRequest(
        rival.id, options.holder, secrets.token_hex(16), f"{deploy_id}-{mine.id}", "exclude:", serial=0
    )
    api.sql(rival.id, install_sql())
    try:
        yield from acquire_lease(api, claim, WaitPolicy(0.0))
    except (LockHeld, PlanStale) as error:
        raise duplicate_project_error(mine, rival.id) from error
    report = {"done": [], "error": {"code": ProjectAmbiguous.code, "message": message}}
    release_lease(api, claim, "failed", report)
    yield Noted(
        Note(
            "project_duplicated",
            f"another deploy created a project named {mine.name!r} at the same time: {rival.id}. It is empty; delete it "
            f"in the dashboard; on the embedded platform, with `mosaic-deploy local reset {rival.id}`",
            Severity.WARNING,
        )
    )
