"""`--output json`: exactly one document on stdout, also on failure."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mosaic_deploy.cli.render.documents import (
    FORMAT,
    Document,
    apply_document,
    error_document,
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
from mosaic_deploy.model.event import ApplyFailed, Event, Noted, Waiting
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.history import Line
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.source.snapshot import Desired
from mosaic_deploy.version import __version__


class JsonView:
    def __init__(self) -> None:
        self._plan: Plan | None = None

    def plan(self, plan: Plan, *, final: bool) -> None:
        self._plan = plan
        if final:
            self._print(plan_document(plan))

    def idle(self, plan: Plan, message: str) -> None:
        self.plan(plan, final=True)

    def waiting(self, event: Waiting | Noted) -> None:
        """Not part of the one document."""

    def hashing(self, done: int, total: int) -> None:
        """Not part of the one document."""

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        last = deque(events, maxlen=1).pop()
        self._print(apply_document(plan, last))
        return last.error.exit_code if isinstance(last, ApplyFailed) else 0

    def valid(self, desired: Desired) -> None:
        self._print(valid_document(desired))

    def status(self, live: Live, pending: Plan | MosaicError) -> None:
        self._print(status_document(live, pending))

    def platform(self, document: Mapping[str, Any]) -> None:
        self._print({"type": "platform", **document})

    def history(self, project: Project, lines: Sequence[Line]) -> None:
        self._print(history_document(project, lines))

    def repairs(self, project: Project, lines: Sequence[Line]) -> None:
        self._print(history_document(project, lines))

    def saved(self, path: str) -> None:
        """Whoever reads programs' output named the file."""

    def created(self, path: Path) -> None:
        self._print({"type": "created", "path": str(path)})

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        found = [hazard_document(hazard) for hazard in hazards]
        self._print({**lint_document(hazards, files), "hazards": found})

    def answer(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        self._print(dict(document))

    def error(self, error: MosaicError) -> None:
        self._print({"type": "error", **self._planned(), "error": error_document(error)})

    def _planned(self) -> Document:
        return {"plan": plan_document(self._plan)} if self._plan else {}

    def _print(self, document: Document) -> None:
        whole = {"mosaic_deploy": __version__, "format": FORMAT, **document}
        sys.stdout.write(json.dumps(whole, indent=2, ensure_ascii=stdout_needs_ascii(), default=str) + "\n")
        sys.stdout.flush()
