"""Finds the project of a target. Of several with its name it is the only one that is in use."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mosaic_deploy.errors import ProjectAmbiguous
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import project_not_created_error, read_projects, select_project
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.ledger.deploys import read_deploys
from mosaic_deploy.live.snapshot import read_live
from mosaic_deploy.model.snapshot import Project, Snapshot

_MOST_COMPARED = 5
"""Projects of one name that are looked into."""


_PRESENT_IN_NEW = frozenset({"extension", "grant", "default privileges", "comment"})
"""Kinds of database objects that a new project may have."""


@dataclass(frozen=True, slots=True)
class Found:
    """The project, None if there is none, and others of its name, which are empty.

    The platform makes two of one name if a request to create one is repeated on the way, which may also be after the
    deploy has ended, and for two first deploys at the same time.
    """

    project: Project | None
    empty: tuple[Project, ...] = ()


def find_project(api: Api, *, id: str | None, name: str | None, hint: str | None = None) -> Found:
    """The project by `id`, else by `hint` if the account has that ID, else by `name`. Reads only.

    Raises ProjectNotFound for an unknown ID, ProjectAmbiguous if several projects of the name are in use, or none is.
    """
    listed = read_projects(api)
    if id is None and any(project.id == hint for project in listed):
        id = hint
    try:
        return Found(select_project(listed, id=id, name=name))
    except ProjectAmbiguous:
        named = [project for project in listed if project.name == name]
        used = _used(api, named) if len(named) <= _MOST_COMPARED else []
        if len(used) != 1:
            raise
        return Found(used[0], tuple(project for project in named if project not in used))


def find_existing_project(api: Api, *, id: str | None, name: str | None, hint: str | None = None) -> Project:
    """As `find_project`. Raises ProjectNotFound also if no project has the name."""
    found = find_project(api, id=id, name=name, hint=hint).project
    if found is None:
        raise project_not_created_error(name)
    return found


def _used(api: Api, projects: Sequence[Project]) -> list[Project]:
    with ThreadPoolExecutor(len(projects)) as pool:
        used = pool.map(lambda project: _is_used(api, project), projects)
        return [project for project, is_used in zip(projects, used, strict=True) if is_used]


def _is_used(api: Api, project: Project) -> bool:
    """Whether something was deployed to it, or it has database objects or files of anybody."""
    if project.status != "running":
        return False
    live = read_live(api, project, Snapshot(project, static={}, storage={})).snapshot
    if live.static or live.storage or live.migrations or live.auth:
        return True
    if any(each.status in ("running", "done") or each.done for each in read_deploys(api, project.id, 20)):
        return True
    return any(each.kind not in _PRESENT_IN_NEW for each in read_catalog(api, project.id))
