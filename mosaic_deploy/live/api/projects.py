"""Selects a project by ID or unique name, creates one, and waits until it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_deploy.errors import (
    MosaicError,
    MutationState,
    NextAction,
    ProjectAmbiguous,
    ProjectExists,
    ProjectNotFound,
    ProjectNotReady,
    ResponseInvalid,
    ResponseLost,
    ServerFailed,
)
from mosaic_deploy.live.api import endpoints, responses
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.model.snapshot import Project

_POLL = 0.1
_MAX_POLL = 2.0


def read_projects(api: Api) -> list[Project]:
    return responses.parse_projects(api.call(endpoints.LIST_PROJECTS))


def select_project(projects: list[Project], *, id: str | None, name: str | None) -> Project | None:
    """The selected project; None if no project has the name.

    Raises ProjectNotFound for an unknown ID (the platform assigns IDs, so it can't be created), ProjectAmbiguous if
    several projects have the name.
    """
    if id:
        return _find_by_id(projects, id)
    named = [project for project in projects if project.name == name]
    if len(named) > 1:
        ids = [project.id for project in named]
        raise ProjectAmbiguous(
            f"{len(named)} projects are named {name!r}: {', '.join(ids)}",
            hint="choose one with project.id in the manifest, MOSAIC_PROJECT_ID or --project",
            next_actions=[
                NextAction(f"plan for {one}", f"mosaic-deploy plan --project {one}") for one in ids
            ],
        )
    return named[0] if named else None


def project_not_created_error(name: str | None) -> ProjectNotFound:
    return ProjectNotFound(
        f"there is no project named {name!r} yet",
        hint="`mosaic-deploy apply` creates it",
        next_actions=[NextAction("create and deploy it", "mosaic-deploy apply")],
    )


@dataclass(frozen=True, slots=True)
class Creation:
    """A new project, and others of the same name that were created at the same time."""

    project: Project
    rivals: tuple[Project, ...] = ()


def create_project(api: Api, name: str) -> Creation:
    """Creates a project. After a lost response it looks for the project instead of creating a second one.

    Raises ProjectExists if there is one of this name. Names needn't be unique, so two first deploys at the same time
    may create two. Of those that see each other only the one with the smallest ID goes on, others get
    ProjectAmbiguous; but another may have seen only its own project, so the caller must exclude the rivals.
    """
    known = read_projects(api)
    if existing := [project.id for project in known if project.name == name]:
        raise _project_exists_error(name, existing)
    before = {project.id for project in known}

    def find_new(mutation_state: MutationState) -> list[Project]:
        try:
            listed = read_projects(api)
        except MosaicError as error:
            error.mutation_state = mutation_state
            raise
        new = (p for p in listed if p.name == name and p.id not in before)
        return sorted(new, key=lambda project: project.id)

    try:
        mine = responses.parse_project(api.call(endpoints.CREATE_PROJECT, body={"name": name}))
    except (ResponseLost, ServerFailed, ResponseInvalid) as error:
        error.mutation_state = "unknown"
        found = find_new("unknown")
        if not found:
            error.hint = "run the same command again; no project of this name is listed, and it checks first"
            raise
        mine = found[0]  # possibly another's: then the lease decides
    else:
        found = find_new("partial")
    rivals = tuple(project for project in found if project.id != mine.id)
    if rivals and rivals[0].id < mine.id:
        raise duplicate_project_error(mine, rivals[0].id)
    return Creation(mine, rivals)


def _project_exists_error(name: str, ids: list[str]) -> ProjectExists:
    return ProjectExists(
        f"there is already a project named {name!r}: {', '.join(ids)}. Nothing was created",
        hint="deploy to it, or choose another name",
        next_actions=[NextAction(f"deploy to {one}", f"mosaic-deploy apply --project {one}") for one in ids],
    )


def duplicate_project_error(mine: Project, other: str) -> ProjectAmbiguous:
    return ProjectAmbiguous(
        f"another deploy created a project named {mine.name!r} at the same time: {other}. This deploy "
        f"created {mine.id}, and deployed nothing to it",
        hint=f"set project.id: {other} in the manifest, and delete {mine.id} in the dashboard; on the embedded platform, "
        f"with `mosaic-deploy local reset {mine.id}`",
        next_actions=[NextAction(f"deploy to {other}", f"mosaic-deploy apply --project {other}")],
        mutation_state="partial",
    )


def wait_until_running(api: Api, project: Project, *, timeout: float) -> Iterator[Waiting | Project]:
    """Yields Waiting while the project is provisioned, and the running Project last.

    Raises ProjectNotReady after `timeout` seconds; the next run continues to wait for the same project.
    """
    began = time.monotonic()
    pause = _POLL
    while project.status != "running":
        waited = time.monotonic() - began
        if waited > timeout:
            raise ProjectNotReady(
                f"project {project.id} is still {project.status!r} after {waited:.0f} s",
                hint=f"run the same command again with --project {project.id} to continue",
            )
        yield Waiting(f"for project {project.id} to start", waited)
        time.sleep(pause)
        pause = min(_MAX_POLL, pause * 1.5)
        project = _find_by_id(read_projects(api), project.id)
    yield project


def _find_by_id(projects: list[Project], wanted: str) -> Project:
    for project in projects:
        if project.id == wanted:
            return project
    raise ProjectNotFound(
        f"there is no project {wanted!r} here",
        hint="compare project.id, MOSAIC_PROJECT_ID and --project with `mosaic-deploy projects list`, which shows the "
        "projects of the API key's account; without an ID, the project is created by its name",
    )
