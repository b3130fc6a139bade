"""What goes along with a watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.errors import MosaicError
    from mosaic_deploy.model.event import ApplyDone


import contextlib
import json
import queue
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli.target.embedded import running
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.model.change import Delete, Put, PutAsset

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.errors import MosaicError
    from mosaic_deploy.model.event import ApplyDone


class Companion:
    """Does nothing; `dev` shows it to browsers."""

    def started(self, session: Session, project_id: str) -> None:
        """The first apply has ended, or a project has come to be known."""

    def pulse(self) -> None:
        """A few times a second."""

    def live(self, planned: Planned, last: ApplyDone) -> None:
        """A plan was applied."""

    def drafted(self) -> None:
        """Apps see another draft, or none any more."""

    def broken(self, error: MosaicError) -> None:
        """What is on disk isn't live, and why."""

    def mended(self) -> None:
        """It is now."""

    def ended(self) -> None:
        """The watch is over."""


_BEAT = 1.0
"""Seconds between two words to the platform, which forgets a session that it doesn't hear of."""


class FollowingPages(Companion):
    """Words go out from a thread of its own, so that pages follow also while a run takes its time."""

    def __init__(self, screen: Screen, *, opens: bool) -> None:
        self._screen = screen
        self._opens = opens
        self._project = ""
        self._words: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._mails: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._last_mail: int | None = None
        self._error: list[str] | None = None

    def started(self, session: Session, project_id: str) -> None:
        if not project_id or project_id == self._project:
            return
        self._project = project_id
        # Before anybody is told the address: a page that is opened earlier wouldn't get the script.
        self._say({"type": "beat"})
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pages", daemon=True)
            self._thread.start()
        if self._opens:
            self._opens = False
            scheme, _, place = session.api.url.partition("://")
            click.launch(f"{scheme}://{project_id}.localhost:{place.rpartition(':')[2]}")

    def pulse(self) -> None:
        while not self._mails.empty():
            self._screen.mail(self._mails.get())

    def live(self, planned: Planned, last: ApplyDone) -> None:
        changes = planned.plan.changes
        files = all(isinstance(change, Put | Delete) for change in changes)
        paths = [
            f"storage/{change.path}" if isinstance(change, PutAsset) else change.path
            for change in changes
            if isinstance(change, Put)
        ]
        # Of anything but new contents, a page alone doesn't know what it is to it.
        self._words.put({"type": "live", "paths": paths if files and len(paths) == len(changes) else []})

    def drafted(self) -> None:
        self._words.put({"type": "live", "paths": []})

    def broken(self, error: MosaicError) -> None:
        from mosaic_deploy.cli.render.text.error import error_lines

        self._error = [click.unstyle(line) for line in error_lines(error)]
        self._words.put({"type": "broken", "lines": self._error})

    def mended(self) -> None:
        if self._error is not None:
            self._error = None
            self._words.put({"type": "mended"})

    def ended(self) -> None:
        if self._thread is not None:
            self._words.put(None)
            self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                word = self._words.get(timeout=_BEAT)
            except queue.Empty:
                word = {"type": "beat"}
            self._say(word or {"type": "end"})
            if word is None:
                return

    def _say(self, word: dict[str, Any]) -> None:
        """A platform that is being restarted is told the next time."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            self._tell(word)

    def _tell(self, word: dict[str, Any]) -> None:
        found = running()
        if found is None:
            return
        request = urllib.request.Request(  # noqa: S310 - the address is this machine's own platform's
            f"{found['url']}/dev/{self._project}",
            json.dumps({**word, "mails_after": self._last_mail}).encode(),
            {"X-API-Key": str(found["api_key"]), "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as response:
            answer = json.load(response)
        self._last_mail = answer.get("last_mail", self._last_mail)
        for mail in answer["mails"]:
            self._mails.put(mail)
