"""`--output json`: exactly one document on stdout, also on failure."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.render.document_view import DocumentView
from mosaic_deploy.cli.render.documents import (
    FORMAT,
    Document,
    apply_document,
    error_document,
    hazard_document,
    lint_document,
    plan_document,
    stdout_needs_ascii,
)
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.event import ApplyFailed, Event, Noted, Waiting
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.version import __version__


class JsonView(DocumentView):
    def __init__(self) -> None:
        self._plan: Plan | None = None

    def plan(self, plan: Plan, *, final: bool) -> None:
        self._plan = plan
        if final:
            self.put(plan_document(plan))

    def waiting(self, event: Waiting | Noted) -> None:
        """Not part of the one document."""

    def hashing(self, done: int, total: int) -> None:
        """Not part of the one document."""

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        last = deque(events, maxlen=1).pop()
        self.put(apply_document(plan, last))
        return last.error.exit_code if isinstance(last, ApplyFailed) else 0

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        found = [hazard_document(hazard) for hazard in hazards]
        self.put({**lint_document(hazards, files), "hazards": found})

    def error(self, error: MosaicError) -> None:
        self.put({"type": "error", **self._planned(), "error": error_document(error)})

    def _planned(self) -> Document:
        return {"plan": plan_document(self._plan)} if self._plan else {}

    def put(self, document: Document) -> None:
        whole = {"mosaic_deploy": __version__, "format": FORMAT, **document}
        sys.stdout.write(json.dumps(whole, indent=2, ensure_ascii=stdout_needs_ascii(), default=str) + "\n")
        sys.stdout.flush()
