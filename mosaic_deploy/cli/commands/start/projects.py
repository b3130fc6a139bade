"""`mosaic-deploy projects`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import open_api
from mosaic_deploy.errors import NextAction, ProjectExists

if TYPE_CHECKING:
    from mosaic_deploy.model.snapshot import Project

_PROVISION_WAIT = 300.0
"""Seconds to wait for a new project; `apply` waits as long."""


@click.group(cls=Group)
def projects() -> None:
    """List and create projects."""


@projects.command("list")
@folder_option.local
@options.output
@click.pass_obj
def list_projects(screen: Screen, local: bool) -> None:
    """List the account's projects.

    \b
    Examples:
      mosaic-deploy projects list
      mosaic-deploy projects list --local -o json
    """
    with open_api(Path(), local=local) as api:
        from mosaic_deploy.live.api.projects import read_projects

        found = read_projects(api)
    document = {"type": "projects", "projects": [asdict(project) for project in found]}
    rows = [(project.id, project.name, project.status, project.url) for project in found]
    screen.result(document, table(("id", "name", "status", "url"), rows) if rows else ["no projects yet"])


@projects.command()
@click.argument("name")
@folder_option.local
@options.output
@click.pass_obj
def create(screen: Screen, name: str, local: bool) -> None:
    """Create a project and wait until it is ready. `apply` creates projects too.

    \b
    Example:
      mosaic-deploy projects create my-site
    """
    with open_api(Path(), local=local) as api:
        from mosaic_deploy.live.api.projects import create_project, wait_until_running
        from mosaic_deploy.model.snapshot import Project

        try:
            created = create_project(api, name).project
        except ProjectExists as error:
            error.next_actions = tuple(_with_local(action, local=local) for action in error.next_actions)
            raise
        for event in wait_until_running(api, created, timeout=_PROVISION_WAIT):
            if isinstance(event, Project):
                created = event
    screen.result({"type": "project", **asdict(created)}, _created_lines(created))


def _with_local(action: NextAction, *, local: bool) -> NextAction:
    return replace(action, command=f"{action.command} --local") if local else action


def _created_lines(project: Project) -> Iterator[str]:
    yield f"{project.id}  {project.url}"
    if project.is_local:
        return
    yield "Pin the project ID in mosaic.yaml:"
    yield f"  project: {{ id: {project.id} }}"
