"""Which project: by id, else by a unique name; made where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator

from mosaic_deploy.errors import (
    NextAction,
    ProjectAmbiguous,
    ProjectNotFound,
    ProjectNotReady,
    ResponseLost,
    ServerFailed,
)
from mosaic_deploy.live import answers, endpoints
from mosaic_deploy.live.client import Api
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.model.snapshot import Project

_POLL = 0.2
_SLOWEST_POLL = 2.0


def read_projects(api: Api) -> list[Project]:
    return answers.projects(api.call(endpoints.LIST_PROJECTS))


def choose(projects: list[Project], *, id: str | None, name: str | None) -> Project | None:
    """The project meant, None where it has still to be created.

    Raises ProjectNotFound for an unknown id (ids are given by the platform, so it can't be created), and
    ProjectAmbiguous where several have the name.
    """
    if id:
        return _by_id(projects, id)
    named = [project for project in projects if project.name == name]
    if len(named) > 1:
        ids = [project.id for project in named]
        raise ProjectAmbiguous(
            f"{len(named)} projects are named {name!r}: {', '.join(ids)}",
            hint="say which one with project.id in the manifest, MOSAIC_PROJECT_ID or --project",
            next_actions=[
                NextAction(f"plan for {one}", f"mosaic-deploy plan --project {one}") for one in ids
            ],
        )
    return named[0] if named else None


def create(api: Api, name: str) -> Project:
    """Creates a project. A lost answer is looked up before anything is sent again, so none is made twice."""
    before = {project.id for project in read_projects(api)}
    try:
        return answers.project(api.call(endpoints.CREATE_PROJECT, body={"name": name}))
    except (ResponseLost, ServerFailed) as error:
        made = [p for p in read_projects(api) if p.name == name and p.id not in before]
        if not made:
            raise
        if len(made) > 1:
            raise choose_error(made, name) from error
        return made[0]


def choose_error(made: list[Project], name: str) -> ProjectAmbiguous:
    ids = ", ".join(project.id for project in made)
    return ProjectAmbiguous(f"several projects named {name!r} were made at the same time: {ids}")


def await_running(api: Api, project: Project, *, timeout: float) -> Iterator[Waiting | Project]:
    """Yields Waiting while the project is provisioned, and the running Project last.

    Raises ProjectNotReady after `timeout` seconds; the next run goes on waiting for the same project.
    """
    began = time.monotonic()
    pause = _POLL
    while project.status != "running":
        waited = time.monotonic() - began
        if waited > timeout:
            raise ProjectNotReady(
                f"project {project.id} is still {project.status!r} after {waited:.0f} s",
                hint=f"run the same command again with --project {project.id}: it goes on from here",
            )
        yield Waiting(f"for project {project.id} to be {'running' if waited else 'provisioned'}", waited)
        time.sleep(pause)
        pause = min(_SLOWEST_POLL, pause * 1.5)
        project = _by_id(read_projects(api), project.id)
    yield project


def _by_id(projects: list[Project], wanted: str) -> Project:
    for project in projects:
        if project.id == wanted:
            return project
    raise ProjectNotFound(
        f"no project {wanted!r} belongs to this API key",
        hint="check project.id, MOSAIC_PROJECT_ID and --project, and that the key is of the right account; "
        "a manifest without an id has its project created by name",
    )
