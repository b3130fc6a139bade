"""`--output ndjson`: a version line, then one document per line, each as soon as it is known."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.render.document_view import DocumentView
from mosaic_deploy.cli.render.documents import (
    FORMAT,
    Document,
    error_document,
    event_document,
    hazard_document,
    lint_document,
    plan_document,
    stdout_needs_ascii,
)
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.event import ApplyFailed, BytesSent, Event, Hashed, Noted, Waiting
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.version import __version__

_BETWEEN_BYTES = 2.0
"""Seconds between two `bytes_sent`, whatever is sent: the changes' own events tell the rest."""


class NdjsonView(DocumentView):
    def __init__(self) -> None:
        self.put({"type": "version", "mosaic_deploy": __version__, "format": FORMAT})

    def plan(self, plan: Plan, *, final: bool) -> None:
        self.put(plan_document(plan))

    def waiting(self, event: Waiting | Noted) -> None:
        self.put(event_document(event))

    def hashing(self, done: int, total: int) -> None:
        self.put(event_document(Hashed(done, total)))

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        code = 0
        said = 0.0
        for event in events:
            if isinstance(event, BytesSent):
                if time.monotonic() - said < _BETWEEN_BYTES:
                    continue
                said = time.monotonic()
            self.put(event_document(event))
            if isinstance(event, ApplyFailed):
                code = event.error.exit_code
        return code

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        for hazard in hazards:
            self.put({"type": "hazard", **hazard_document(hazard)})
        self.put(lint_document(hazards, files))

    def error(self, error: MosaicError) -> None:
        self.put({"type": "error", "error": error_document(error)})

    def put(self, document: Document) -> None:
        ascii_only = stdout_needs_ascii()
        line = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":"), default=str)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
