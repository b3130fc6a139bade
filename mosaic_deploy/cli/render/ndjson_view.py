"""`--output ndjson`: a version line, then one document per line, each as soon as it is known."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mosaic_deploy.cli.render.documents import (
    FORMAT,
    Document,
    error_document,
    event_document,
    hazard_document,
    history_document,
    lint_document,
    plan_document,
    status_document,
    stdout_needs_ascii,
    valid_document,
)
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.read import Live
from mosaic_deploy.model.event import ApplyFailed, BytesSent, Event, Hashed, Noted, Waiting
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.history import Line
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.source.snapshot import Desired
from mosaic_deploy.version import __version__

_BETWEEN_BYTES = 2.0
"""Seconds between two `bytes_sent`, whatever is sent: the changes' own events tell the rest."""


class NdjsonView:
    def __init__(self) -> None:
        self._line({"type": "version", "mosaic_deploy": __version__, "format": FORMAT})

    def plan(self, plan: Plan, *, final: bool) -> None:
        self._line(plan_document(plan))

    def idle(self, plan: Plan, message: str) -> None:
        self.plan(plan, final=True)

    def waiting(self, event: Waiting | Noted) -> None:
        self._line(event_document(event))

    def hashing(self, done: int, total: int) -> None:
        self._line(event_document(Hashed(done, total)))

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        code = 0
        said = 0.0
        for event in events:
            if isinstance(event, BytesSent):
                if time.monotonic() - said < _BETWEEN_BYTES:
                    continue
                said = time.monotonic()
            self._line(event_document(event))
            if isinstance(event, ApplyFailed):
                code = event.error.exit_code
        return code

    def valid(self, desired: Desired) -> None:
        self._line(valid_document(desired))

    def status(self, live: Live, pending: Plan | MosaicError) -> None:
        self._line(status_document(live, pending))

    def platform(self, document: Mapping[str, Any]) -> None:
        self._line({"type": "platform", **document})

    def history(self, project: Project, lines: Sequence[Line]) -> None:
        self._line(history_document(project, lines))

    def repairs(self, project: Project, lines: Sequence[Line]) -> None:
        self._line(history_document(project, lines))

    def saved(self, path: str) -> None:
        """Whoever reads programs' output named the file."""

    def created(self, path: Path) -> None:
        self._line({"type": "created", "path": str(path)})

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        for hazard in hazards:
            self._line({"type": "hazard", **hazard_document(hazard)})
        self._line(lint_document(hazards, files))

    def answer(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        self._line(dict(document))

    def error(self, error: MosaicError) -> None:
        self._line({"type": "error", "error": error_document(error)})

    def _line(self, document: Document) -> None:
        ascii_only = stdout_needs_ascii()
        line = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":"), default=str)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
