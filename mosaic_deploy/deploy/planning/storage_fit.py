"""Whether assets can fit into storage, asked before much is hashed for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.diff.limits import refuse_unfitting
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import choose, read_projects
from mosaic_deploy.live.snapshot import read_stored
from mosaic_deploy.source.files.folder import Before
from mosaic_deploy.source.files.walk import Found

_LONG = 256 * 1024 * 1024
"""Bytes that take about a second to hash: below that the plan itself tells soon enough."""


def fitting(api: Api, id: str | None, name: str | None, hint: str | None) -> Before:
    """Refuses, before they are hashed, assets that can't fit into the project's storage. Raises QuotaExceeded.

    Sizes alone tell that. It costs two requests more, and only where hashing would take long.
    """

    def refuse(files: Sequence[Found], unread: int) -> None:
        if unread < _LONG:
            return
        listed = read_projects(api)
        meant = id or (hint if any(project.id == hint for project in listed) else None)
        project = choose(listed, id=meant, name=name)
        stored = read_stored(api, project.id) if project and project.status != "provisioning" else None
        if stored is not None:
            refuse_unfitting({file.name: file.status.st_size for file in files}, *stored)

    return refuse
