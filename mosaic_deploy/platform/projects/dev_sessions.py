"""Sessions of `mosaic-deploy dev`: live reload and migration drafts. They are kept only in this process's memory."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

# A session expires after this long without a heartbeat.
SESSION_TTL_SECONDS = 15.0

Message = dict[str, Any]


@dataclass
class DevSession:
    """Live reload of one project. `version` counts deploys, so a page can tell that it missed one."""

    name: str = field(default_factory=lambda: secrets.token_hex(4))
    version: int = 0
    error: dict[str, Any] | None = None
    last_seen: float = field(default_factory=time.monotonic)
    listeners: set[asyncio.Queue[Message | None]] = field(default_factory=set)

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self.last_seen < SESSION_TTL_SECONDS

    def hello_message(self) -> Message:
        return {"type": "hello", "version": f"{self.name}.{self.version}", "error": self.error}

    def publish(self, message: Message) -> None:
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
        if session is not None and not session.is_alive:
            self.end(project_id)
            return None
        return session

    def get_or_create(self, project_id: str) -> DevSession:
        """The project's session, or a new one; counts as its heartbeat."""
        session = self.find(project_id) or self._by_project.setdefault(project_id, DevSession())
        session.last_seen = time.monotonic()
        return session

    def end(self, project_id: str) -> None:
        session = self._by_project.pop(project_id, None)
        if session is not None:
            session.end()

    def end_all(self) -> None:
        """End all sessions, so that listening pages don't delay the shutdown."""
        for project_id in list(self._by_project):
            self.end(project_id)


@dataclass
class DraftSession:
    """The draft of one project. `name` identifies the `dev` command; a draft of another one replaces it."""

    name: str
    served: bool = False
    last_seen: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Cleared while the served clone is replaced; SQL calls wait for it.
    switch_done: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.switch_done.set()

    @property
    def is_alive(self) -> bool:
        return self.lock.locked() or time.monotonic() - self.last_seen < SESSION_TTL_SECONDS


class DraftSessions:
    """The drafts of all projects."""

    def __init__(self) -> None:
        self._by_project: dict[str, DraftSession] = {}

    def find(self, project_id: str) -> DraftSession | None:
        draft = self._by_project.get(project_id)
        return draft if draft is not None and draft.is_alive else None

    def get_or_create(self, project_id: str, name: str) -> DraftSession:
        """The project's draft, taken over by `name`, or a new one; counts as its heartbeat."""
        draft = self._by_project.setdefault(project_id, DraftSession(name))
        draft.name, draft.last_seen = name, time.monotonic()
        return draft

    def end(self, project_id: str) -> None:
        self._by_project.pop(project_id, None)

    def expired_projects(self) -> list[str]:
        """IDs of projects whose drafts have had no heartbeat for too long."""
        return [project_id for project_id, draft in self._by_project.items() if not draft.is_alive]
