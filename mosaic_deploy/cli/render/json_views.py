"""`--output json` and `--output ndjson`: the same documents, as one JSON text or a line each."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mosaic_deploy.cli.render.json_documents import (
    FORMAT,
    apply_document,
    error_document,
    event_document,
    hazard_document,
    history_document,
    lint_document,
    plan_document,
    status_document,
    stdout_needs_ascii,
    validate_document,
)
from mosaic_deploy.cli.render.schema_documents import Document
from mosaic_deploy.cli.visible_text import safe_json
from mosaic_deploy.errors import MosaicError, NextAction
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyFailed,
    BytesSent,
    ChangeDone,
    Event,
    HashProgress,
    Noted,
    StillRunning,
    Waiting,
)
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.migration_history import MigrationStatus
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.source.snapshot import Desired
from mosaic_deploy.version import __version__


class DocumentView(ABC):
    @abstractmethod
    def write_document(self, document: Document) -> None:
        """Writes one document to stdout and flushes it."""

    @abstractmethod
    def plan(self, plan: Plan, *, final: bool, target: str = "") -> None: ...

    @abstractmethod
    def apply(self, plan: Plan, events: Iterator[Event]) -> int: ...

    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None:
        """The same documents as any other apply, with nothing done."""
        self.plan(plan, final=False)
        self.apply(plan, iter((ApplyDone(plan.project, (), requests, sent, 0.0),)))

    def nothing_to_do(self, plan: Plan, message: str) -> None:
        self.plan(plan, final=True)

    def validated(self, desired: Desired) -> None:
        self.write_document(validate_document(desired))

    def status(
        self, live: LiveState, pending: Plan | MosaicError | None, next_actions: Sequence[NextAction] = ()
    ) -> None:
        self.write_document(status_document(live, pending, next_actions))

    def platform(self, document: Mapping[str, Any]) -> None:
        self.write_document({"type": "platform", **document})

    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        self.write_document(history_document(project, lines))

    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        self.write_document(history_document(project, lines))

    def plan_saved(self, path: str, command: str) -> None:  # noqa: B027 - not abstract: there is nothing to print
        """Nothing to print: the caller chose the path."""

    def created(self, path: Path) -> None:
        self.write_document({"type": "created", "path": str(path)})

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        self.write_document(dict(document))


class JsonView(DocumentView):
    def __init__(self) -> None:
        self._plan: Plan | None = None

    def plan(self, plan: Plan, *, final: bool, target: str = "") -> None:
        self._plan = plan
        if final:
            self.write_document(plan_document(plan))

    def waiting(self, event: Waiting | Noted) -> None:
        """Not part of the document."""

    def hash_progress(self, done: int, total: int) -> None:
        """Not part of the document."""

    def still_running(self, event: StillRunning) -> None:
        """Not part of the document."""

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        with_sql: list[ChangeDone] = []
        for event in events:
            last = event
            if isinstance(event, ChangeDone) and event.steps:
                with_sql.append(event)
        self.write_document(apply_document(plan, last, with_sql))
        return last.error.exit_code if isinstance(last, ApplyFailed) else 0

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        found = [hazard_document(hazard) for hazard in hazards]
        self.write_document({**lint_document(hazards, files), "hazards": found})

    def error(self, error: MosaicError) -> None:
        self.write_document({"type": "error", **self._plan_field(), "error": error_document(error)})

    def _plan_field(self) -> Document:
        return {"plan": plan_document(self._plan)} if self._plan else {}

    def write_document(self, document: Document) -> None:
        versioned = {"mosaic_deploy": __version__, "format": FORMAT, **document}
        text = json.dumps(versioned, indent=2, ensure_ascii=stdout_needs_ascii(), default=str)
        sys.stdout.write(f"{safe_json(text)}\n")
        sys.stdout.flush()


_BYTES_SENT_INTERVAL = 2.0
"""Seconds between two `bytes_sent` events."""


class NdjsonView(DocumentView):
    def __init__(self) -> None:
        self.write_document({"type": "version", "mosaic_deploy": __version__, "format": FORMAT})

    def plan(self, plan: Plan, *, final: bool, target: str = "") -> None:
        self.write_document(plan_document(plan))

    def waiting(self, event: Waiting | Noted) -> None:
        self.write_document(event_document(event))

    def hash_progress(self, done: int, total: int) -> None:
        self.write_document(event_document(HashProgress(done, total)))

    def still_running(self, event: StillRunning) -> None:
        self.write_document(event_document(event))

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        code = 0
        last_bytes_sent = 0.0
        for event in events:
            if isinstance(event, BytesSent):
                if time.monotonic() - last_bytes_sent < _BYTES_SENT_INTERVAL:
                    continue
                last_bytes_sent = time.monotonic()
            self.write_document(event_document(event))
            if isinstance(event, ApplyFailed):
                code = event.error.exit_code
        return code

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        for hazard in hazards:
            self.write_document({"type": "hazard", **hazard_document(hazard)})
        self.write_document(lint_document(hazards, files))

    def error(self, error: MosaicError) -> None:
        self.write_document({"type": "error", "error": error_document(error)})

    def write_document(self, document: Document) -> None:
        ascii_only = stdout_needs_ascii()
        line = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":"), default=str)
        sys.stdout.write(f"{safe_json(line)}\n")
        sys.stdout.flush()
