"""Dev sessions, in this process's memory and nowhere else: which projects' pages are to follow edits."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

# Seconds without a word from the command, after which its session is over.
LIFE = 15.0

Message = dict[str, Any]


@dataclass
class DevSession:
    """One project's. `version` counts what went live, so that a page that missed something sees that."""

    name: str = field(default_factory=lambda: secrets.token_hex(4))
    version: int = 0
    error: list[str] | None = None
    heard: float = field(default_factory=time.monotonic)
    listeners: set[asyncio.Queue[Message | None]] = field(default_factory=set)

    @property
    def lives(self) -> bool:
        return time.monotonic() - self.heard < LIFE

    def greeting(self) -> Message:
        return {"type": "hello", "version": f"{self.name}.{self.version}", "error": self.error}

    def tell(self, message: Message) -> None:
        for listener in self.listeners:
            listener.put_nowait(message)

    def end(self) -> None:
        for listener in self.listeners:
            listener.put_nowait(None)


class DevSessions:
    def __init__(self) -> None:
        self._by_project: dict[str, DevSession] = {}

    def find(self, project_id: str) -> DevSession | None:
        session = self._by_project.get(project_id)
        if session is not None and not session.lives:
            self.end(project_id)
            return None
        return session

    def begin(self, project_id: str) -> DevSession:
        """The session there is, heard of just now; a new one where there is none."""
        session = self.find(project_id) or self._by_project.setdefault(project_id, DevSession())
        session.heard = time.monotonic()
        return session

    def end(self, project_id: str) -> None:
        session = self._by_project.pop(project_id, None)
        if session is not None:
            session.end()

    def end_all(self) -> None:
        """So that no listening page keeps the process from stopping."""
        for project_id in list(self._by_project):
            self.end(project_id)


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
