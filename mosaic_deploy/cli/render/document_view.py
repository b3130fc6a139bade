"""What `--output json` and `ndjson` have in common: the documents, whatever is around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mosaic_deploy.cli.render.documents import Document, history_document, status_document, valid_document
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.read import Live
from mosaic_deploy.model.event import ApplyDone, Event
from mosaic_deploy.model.history import Line
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.source.snapshot import Desired


class DocumentView(ABC):
    @abstractmethod
    def put(self, document: Document) -> None:
        """Writes one document to stdout, at once."""

    @abstractmethod
    def plan(self, plan: Plan, *, final: bool) -> None: ...

    @abstractmethod
    def apply(self, plan: Plan, events: Iterator[Event]) -> int: ...

    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None:
        """The documents of any other apply, with nothing done."""
        self.plan(plan, final=False)
        self.apply(plan, iter((ApplyDone(plan.project, (), requests, sent, 0.0),)))

    def idle(self, plan: Plan, message: str) -> None:
        self.plan(plan, final=True)

    def valid(self, desired: Desired) -> None:
        self.put(valid_document(desired))

    def status(self, live: Live, pending: Plan | MosaicError) -> None:
        self.put(status_document(live, pending))

    def platform(self, document: Mapping[str, Any]) -> None:
        self.put({"type": "platform", **document})

    def history(self, project: Project, lines: Sequence[Line]) -> None:
        self.put(history_document(project, lines))

    def repairs(self, project: Project, lines: Sequence[Line]) -> None:
        self.put(history_document(project, lines))

    def saved(self, path: str) -> None:  # noqa: B027 - there is nothing to add to the documents
        """Whoever reads programs' output named the file."""

    def created(self, path: Path) -> None:
        self.put({"type": "created", "path": str(path)})

    def answer(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        self.put(dict(document))
