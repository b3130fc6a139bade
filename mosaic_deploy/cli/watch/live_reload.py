"""Observers of a watch: `dev`'s tells the embedded platform, which reloads pages and shows errors in them."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli.target.embedded import read_platform_file
from mosaic_deploy.cli.visible_text import unstyle
from mosaic_deploy.cli.watch.dev_keys import Asked, DevKeys, site_url
from mosaic_deploy.cli.watch.editor import editor_link
from mosaic_deploy.cli.watch.failures import is_draft_error
from mosaic_deploy.model.change import Delete, Put, PutStorageFile

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.errors import MosaicError
    from mosaic_deploy.model.event import ApplyDone


class WatchObserver:
    """Does nothing."""

    def on_start(self, session: Session, project_id: str) -> None:
        """The project is known; called again with every run."""

    def on_tick(self) -> Asked | None:
        """A few times a second; what the user has asked for."""
        return None

    def on_apply(self, planned: PreparedPlan, last: ApplyDone) -> None:
        """A plan was applied."""

    def on_draft(self) -> None:
        """Apps use another draft, or the real database again."""

    def on_error(self, error: MosaicError) -> None:
        """What is on disk can't be deployed."""

    def resolved(self) -> None:
        """Everything on disk is live."""

    def on_end(self) -> None:
        """The watch has ended."""


class Observers(WatchObserver):
    """Several, in this order."""

    def __init__(self, *observers: WatchObserver) -> None:
        self._observers = observers

    def on_start(self, session: Session, project_id: str) -> None:
        for each in self._observers:
            each.on_start(session, project_id)

    def on_tick(self) -> Asked | None:
        asked = [each.on_tick() for each in self._observers]
        return next((each for each in asked if each is not None), None)

    def on_apply(self, planned: PreparedPlan, last: ApplyDone) -> None:
        for each in self._observers:
            each.on_apply(planned, last)

    def on_draft(self) -> None:
        for each in self._observers:
            each.on_draft()

    def on_error(self, error: MosaicError) -> None:
        for each in self._observers:
            each.on_error(error)

    def resolved(self) -> None:
        for each in self._observers:
            each.resolved()

    def on_end(self) -> None:
        for each in self._observers:
            each.on_end()


_MAX_LINKS = 50
_HEARTBEAT_SECONDS = 1.0
"""Without a heartbeat the platform ends the session."""


class LiveReload(WatchObserver):
    """Messages are sent by a thread, so that pages are served and updated during a long run, too."""

    def __init__(self, screen: Screen, *, opens: bool) -> None:
        self._screen = screen
        self._open_browser = opens
        self._project = ""
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._emails: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._last_email: int | None = None
        self._error_is_shown = False
        self._session: Session | None = None
        self._keys = DevKeys(screen)
        self._shown_project = ""

    def on_start(self, session: Session, project_id: str) -> None:
        if not project_id or (project_id == self._project and session is self._session):
            return
        is_new = (
            project_id != self._project or self._session is None or session.api.url != self._session.api.url
        )
        self._project, self._session = project_id, session
        if not is_new:
            return
        self._shown_project = ""
        # Before the URL is shown: a page that is opened earlier wouldn't get the script.
        self._send({"type": "heartbeat"})
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pages", daemon=True)
            self._thread.start()
        if self._open_browser:
            self._open_browser = False
            click.launch(site_url(session, project_id))

    def on_tick(self) -> Asked | None:
        while not self._emails.empty():
            self._screen.email(self._emails.get())
        if self._session is not None and self._shown_project != self._project:
            self._shown_project = self._project
            self._keys.start(self._session, self._project)
        return self._keys.handle()

    def on_apply(self, planned: PreparedPlan, last: ApplyDone) -> None:
        changes = planned.plan.changes
        files = all(isinstance(change, Put | Delete) for change in changes)
        paths = [
            f"storage/{change.path}" if isinstance(change, PutStorageFile) else change.path
            for change in changes
            if isinstance(change, Put)
        ]
        # Without paths, pages reload: they can only swap stylesheets whose contents changed.
        self._messages.put(
            {"type": "deployed", "paths": paths if files and len(paths) == len(changes) else []}
        )

    def on_draft(self) -> None:
        self._messages.put({"type": "deployed", "paths": []})

    def on_error(self, error: MosaicError) -> None:
        from mosaic_deploy.cli.render.text.error import error_lines

        self._error_is_shown = True
        lines = [unstyle(line) for line in error_lines(error)]
        message = {
            "type": "error",
            "lines": lines,
            "links": self._links(error),
            "draft": is_draft_error(error),
        }
        self._messages.put(message)

    def _links(self, error: MosaicError) -> dict[str, str]:
        """The places that the error names → the URLs that open them in the user's editor."""
        if self._session is None:
            return {}
        root = self._session.manifest.root
        found = (error.location, *(problem.location for problem in error.problems))
        places = [place for place in found if place is not None and place.file][:_MAX_LINKS]
        links = {str(place): editor_link(root / place.file, place.line, place.column) for place in places}
        return {place: link for place, link in links.items() if link}

    def resolved(self) -> None:
        if self._error_is_shown:
            self._error_is_shown = False
            self._messages.put({"type": "resolved"})

    def on_end(self) -> None:
        self._keys.close()
        if self._thread is not None:
            self._messages.put(None)
            self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                message = self._messages.get(timeout=_HEARTBEAT_SECONDS)
            except queue.Empty:
                message = {"type": "heartbeat"}
            self._send(message or {"type": "end"})
            if message is None:
                return

    def _send(self, message: dict[str, Any]) -> None:
        """Best effort: a platform that is restarting gets the next message."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            self._post(message)

    def _post(self, message: dict[str, Any]) -> None:
        found = read_platform_file()
        if found is None:
            return
        request = urllib.request.Request(  # noqa: S310 - the address is this machine's own platform's
            f"{found['url']}/dev/{self._project}",
            json.dumps({**message, "emails_after": self._last_email}).encode(),
            {"X-API-Key": str(found["api_key"]), "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as response:
            answer = json.load(response)
        self._last_email = answer.get("last_email", self._last_email)
        for email in answer["emails"]:
            self._emails.put(email)
