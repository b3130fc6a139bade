"""What commands talk to: one view of three, chosen by `--output`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mosaic_deploy.errors import MosaicError

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.text.edits import Edited
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.deploy.draft import Drafted
    from mosaic_deploy.live.snapshot import Live
    from mosaic_deploy.model.event import Event, Noted, Waiting
    from mosaic_deploy.model.hazard import Hazard
    from mosaic_deploy.model.migration_status import Line
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.model.snapshot import Project
    from mosaic_deploy.source.snapshot import Desired


class View(Protocol):
    """How one output format shows things. `apply` returns the exit code."""

    def plan(self, plan: Plan, *, final: bool) -> None: ...
    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None: ...
    def idle(self, plan: Plan, message: str) -> None: ...
    def waiting(self, event: Waiting | Noted) -> None: ...
    def hashing(self, done: int, total: int) -> None: ...
    def apply(self, plan: Plan, events: Iterator[Event]) -> int: ...
    def valid(self, desired: Desired) -> None: ...
    def status(self, live: Live, pending: Plan | MosaicError) -> None: ...
    def platform(self, document: Mapping[str, Any]) -> None: ...
    def history(self, project: Project, lines: Sequence[Line]) -> None: ...
    def repairs(self, project: Project, lines: Sequence[Line]) -> None: ...
    def saved(self, path: str) -> None: ...
    def created(self, path: Path) -> None: ...
    def lint(self, hazards: Sequence[Hazard], files: int) -> None: ...
    def answer(self, document: Mapping[str, Any], text: Iterable[str]) -> None: ...
    def error(self, error: MosaicError) -> None: ...


class Screen:
    """Set up by `--output` and `--no-color` before a command runs."""

    def __init__(self) -> None:
        self.format = "text"
        self.color: bool | None = False if os.environ.get("NO_COLOR") else None
        self._view: View | None = None

    @property
    def view(self) -> View:
        if self._view is None:
            self._view = self._make()
        return self._view

    def _make(self) -> View:
        if self.format == "json":
            from mosaic_deploy.cli.render.json_views import JsonView

            return JsonView()
        if self.format == "ndjson":
            from mosaic_deploy.cli.render.json_views import NdjsonView

            return NdjsonView()
        from mosaic_deploy.cli.render.text.view import TextView

        return TextView(self.color)

    def plan(self, plan: Plan, *, final: bool) -> None:
        """`final`: the plan is all the command will say."""
        self.view.plan(plan, final=final)

    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None:
        """An apply whose plan leaves nothing to be done: it ends here, well. `requests` and `sent` are what it cost."""
        self.view.nothing_to_apply(plan, requests, sent)

    def idle(self, plan: Plan, message: str) -> None:
        """An empty plan is all the command has; `message` says so to people."""
        self.view.idle(plan, message)

    def waiting(self, event: Waiting | Noted) -> None:
        """Something has to come first, or was put right first; said before there is a plan."""
        self.view.waiting(event)

    @contextmanager
    def checking(self, *, wanted: bool) -> Iterator[Callable[[int, int, int], None] | None]:
        """Where `wanted`, something that hears how far the fetching of live files is; shown to people alone."""
        if not wanted:
            yield None
        elif self.format != "text":
            yield lambda *_: None
        else:
            from mosaic_deploy.cli.render.reading_progress import checking

            with checking(self.color) as heard:
                yield heard

    @contextmanager
    def hashing(self) -> Iterator[Callable[[int, int], None]]:
        """What hears how far the hashing of files is; shown only where that takes longer than a moment."""
        from mosaic_deploy.cli.render.reading_progress import Paced, hashing

        if self.format == "text" and sys.stderr.isatty():
            with hashing(self.color) as heard:
                yield heard
        else:
            yield Paced(self.view.hashing)

    @contextmanager
    def copying(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """What hears how many bytes of a copy are `written`, or `read`; shown to people alone."""
        if self.format != "text":
            yield lambda *_: None
            return
        from mosaic_deploy.cli.render.reading_progress import copying

        with copying(self.color, what) as heard:
            yield heard

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        return self.view.apply(plan, events)

    def valid(self, desired: Desired) -> None:
        self.view.valid(desired)

    def status(self, live: Live, pending: Plan | MosaicError) -> None:
        self.view.status(live, pending)

    def platform(self, document: Mapping[str, Any]) -> None:
        self.view.platform(document)

    def history(self, project: Project, lines: Sequence[Line]) -> None:
        """How migrations stand, with the ways to put right what is wrong."""
        self.view.history(project, lines)

    def repairs(self, project: Project, lines: Sequence[Line]) -> None:
        """What is wrong with the history, and the commands that put it right."""
        self.view.repairs(project, lines)

    def saved(self, path: str) -> None:
        """The plan that was shown is in this file."""
        self.view.saved(path)

    def created(self, path: Path) -> None:
        self.view.created(path)

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        """Findings of so many files."""
        self.view.lint(hazards, files)

    def answer(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        """What a command found: as one document with a `type`, or as lines of text for people."""
        self.view.answer(document, text)

    def error(self, error: MosaicError) -> None:
        self.view.error(error)

    def watching(self, project: Project, folders: Sequence[str]) -> None:
        """From here on edits are followed."""
        document = {"type": "watching", "project": project.id, "url": project.url, "folders": list(folders)}
        self.answer(document, [f"Watching {', '.join(folders) or 'the manifest'}. Ctrl-C ends it."])

    def edited(self, planned: Planned, seen: float) -> Edited:
        """What shows one run of a watch."""
        from mosaic_deploy.cli.render.text.edits import Edited

        return Edited(self.answer, planned, seen)

    def still(self, error: MosaicError, place: str, edits: Iterable[str]) -> None:
        """These were saved and aren't live: an error that was shown before, at `place`, still stands."""
        from mosaic_deploy.cli.render.text.edits import still_lines

        paths = sorted(edits)
        document = {"type": "still", "code": error.code, "path": place or None, "waiting": paths}
        self.answer(document, still_lines(error.code, place, paths))

    def held(self, paths: Sequence[str]) -> None:
        """A pending migration has no statement yet, and those after it wait with it."""
        from mosaic_deploy.cli.render.text.edits import held_line

        self.answer({"type": "held", "path": paths[0], "after": list(paths[1:])}, [held_line(paths)])

    def mended(self) -> None:
        """What was wrong is right again, and live is what is on disk."""
        from mosaic_deploy.cli.render.text.edits import clock

        self.answer({"type": "mended"}, [f"{clock()} in step again"])

    def draft(self, path: str, database: str, drafted: Drafted, seconds: float, *, first: bool) -> None:
        """A draft of a migration has been tried, and apps see it; the `first` one is explained."""
        from mosaic_deploy.cli.render.text.drafts import draft_document, draft_lines

        document = draft_document(path, database, drafted, seconds)
        self.answer(document, draft_lines(path, drafted, seconds, first=first))

    def draft_over(self, path: str, why: str) -> None:
        """Apps don't see this draft any more."""
        from mosaic_deploy.cli.render.text.edits import clock

        self.answer({"type": "draft_over", "path": path, "reason": why}, [f"{clock()} {path} → {why}"])

    def mail(self, mail: Mapping[str, Any]) -> None:
        """A mail that the embedded platform has got, with the link in it."""
        from mosaic_deploy.cli.render.text.edits import clock

        line = f"{clock()} mail to {mail['to']}: {mail['subject']}"
        self.answer({"type": "mail", **mail}, [f"{line}  {mail['link']}" if mail["link"] else line])

    def inbox(self, mails: Sequence[Mapping[str, Any]]) -> None:
        """Mails of the embedded platform, the newest first: a line each, and below it the link, whole."""
        lines = [
            line
            for mail in mails
            for line in (
                f"{mail['created_at']}  to {mail['to']}: {mail['subject']}",
                *([f"  {mail['link']}"] if mail["link"] else []),
            )
        ]
        self.answer({"type": "inbox", "mails": list(mails)}, lines or ["No mails."])

    def watch_ended(self) -> None:
        """A watch was interrupted: the way it ends."""
        self.answer({"type": "watch_ended"}, ["", "Stopped watching."])

    def aside(self, lines: Iterable[str]) -> None:
        """What a person should see before a question, beside the payload."""
        sys.stderr.writelines(f"{line}\n" for line in lines)

    def moved(self, told: str) -> None:
        """The embedded platform was started and has other addresses than before; nothing where it hasn't."""
        if told:
            self.aside([f"note: {told}"])

    def pages(self, link: str) -> None:
        """Where the embedded platform's pages are; no part of the payload."""
        if self.format == "text":
            sys.stderr.write(f"Mails, deploys, requests: {link}\n")

    def link(self, document: Mapping[str, Any]) -> None:
        """A link to open: alone on its line, for whoever pastes it."""
        if self.format == "text":
            self.text(str(document["url"]))
        else:
            self.view.platform(document)

    def key(self, document: Mapping[str, Any]) -> None:
        """A key, alone on its line, for a script to take."""
        if self.format == "text":
            self.text(str(document["api_key"]))
        else:
            self.view.platform(document)

    def log_line(self, line: str, *, raw: bool) -> None:
        """One line of the embedded platform's log, shown at once."""
        from mosaic_deploy.cli.render.text.status import log_line

        self.text(line if raw else log_line(line))
        sys.stdout.flush()

    def text(self, text: str) -> None:
        """A payload that is text in every format."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
