"""Who drafts migrations, in this process's memory and nowhere else."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from mosaic_deploy.platform.dev_sessions import LIFE


@dataclass
class Draft:
    """One project's. `name` is of the one who drafts: another one's draft takes its place."""

    name: str
    served: bool = False
    heard: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Cleared while one clone takes another one's place: calls wait for that moment.
    in_place: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.in_place.set()

    @property
    def lives(self) -> bool:
        return self.lock.locked() or time.monotonic() - self.heard < LIFE


class Drafts:
    """All projects' drafts of this process."""

    def __init__(self) -> None:
        self._by_project: dict[str, Draft] = {}

    def find(self, project_id: str) -> Draft | None:
        draft = self._by_project.get(project_id)
        return draft if draft is not None and draft.lives else None

    def begin(self, project_id: str, name: str) -> Draft:
        """The draft of whoever is called `name`: the one there is, under that name from now on, or a new one."""
        draft = self._by_project.setdefault(project_id, Draft(name))
        draft.name, draft.heard = name, time.monotonic()
        return draft

    def end(self, project_id: str) -> None:
        self._by_project.pop(project_id, None)

    def silent(self) -> list[str]:
        """The projects whose drafts nobody speaks for any more."""
        return [project_id for project_id, draft in self._by_project.items() if not draft.lives]
