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
    from mosaic_deploy.cli.render.text.edits import EditReport
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.deploy.draft import DraftResult
    from mosaic_deploy.live.snapshot import LiveState
    from mosaic_deploy.model.event import Event, Noted, Waiting
    from mosaic_deploy.model.hazard import Hazard
    from mosaic_deploy.model.migration_status import MigrationStatus
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.model.snapshot import Project
    from mosaic_deploy.source.snapshot import Desired


class View(Protocol):
    """How one output format shows things. `apply` returns the exit code."""

    def plan(self, plan: Plan, *, final: bool) -> None: ...
    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None: ...
    def nothing_to_do(self, plan: Plan, message: str) -> None: ...
    def waiting(self, event: Waiting | Noted) -> None: ...
    def hash_progress(self, done: int, total: int) -> None: ...
    def apply(self, plan: Plan, events: Iterator[Event]) -> int: ...
    def validated(self, desired: Desired) -> None: ...
    def status(self, live: LiveState, pending: Plan | MosaicError) -> None: ...
    def platform(self, document: Mapping[str, Any]) -> None: ...
    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None: ...
    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None: ...
    def plan_saved(self, path: str) -> None: ...
    def created(self, path: Path) -> None: ...
    def lint(self, hazards: Sequence[Hazard], files: int) -> None: ...
    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None: ...
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

    def nothing_to_do(self, plan: Plan, message: str) -> None:
        """An empty plan is all the command has; `message` says so to people."""
        self.view.nothing_to_do(plan, message)

    def waiting(self, event: Waiting | Noted) -> None:
        """Something has to come first, or was put right first; said before there is a plan."""
        self.view.waiting(event)

    @contextmanager
    def verify_progress(self, *, wanted: bool) -> Iterator[Callable[[int, int, int], None] | None]:
        """Where `wanted`, something that hears how far the fetching of live files is; shown to people alone."""
        if not wanted:
            yield None
        elif self.format != "text":
            yield lambda *_: None
        else:
            from mosaic_deploy.cli.render.reading_progress import verify_progress

            with verify_progress(self.color) as on_progress:
                yield on_progress

    @contextmanager
    def hash_progress(self) -> Iterator[Callable[[int, int], None]]:
        """What hears how far the hashing of files is; shown only where that takes longer than a moment."""
        from mosaic_deploy.cli.render.reading_progress import Throttled, hash_progress

        if self.format == "text" and sys.stderr.isatty():
            with hash_progress(self.color) as on_progress:
                yield on_progress
        else:
            yield Throttled(self.view.hash_progress)

    @contextmanager
    def copy_progress(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """What hears how many bytes of a copy are `written`, or `read`; shown to people alone."""
        if self.format != "text":
            yield lambda *_: None
            return
        from mosaic_deploy.cli.render.reading_progress import copy_progress

        with copy_progress(self.color, what) as on_progress:
            yield on_progress

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        return self.view.apply(plan, events)

    def validated(self, desired: Desired) -> None:
        self.view.validated(desired)

    def status(self, live: LiveState, pending: Plan | MosaicError) -> None:
        self.view.status(live, pending)

    def platform(self, document: Mapping[str, Any]) -> None:
        self.view.platform(document)

    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        """How migrations stand, with the ways to put right what is wrong."""
        self.view.history(project, lines)

    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        """What is wrong with the history, and the commands that put it right."""
        self.view.repairs(project, lines)

    def plan_saved(self, path: str) -> None:
        """The plan that was shown is in this file."""
        self.view.plan_saved(path)

    def created(self, path: Path) -> None:
        self.view.created(path)

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        """Findings of so many files."""
        self.view.lint(hazards, files)

    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        """What a command found: as one document with a `type`, or as lines of text for people."""
        self.view.result(document, text)

    def error(self, error: MosaicError) -> None:
        self.view.error(error)

    def watching(self, project: Project, folders: Sequence[str]) -> None:
        """From here on edits are followed."""
        document = {"type": "watching", "project": project.id, "url": project.url, "folders": list(folders)}
        self.result(document, [f"Watching {', '.join(folders) or 'the manifest'}. Ctrl-C ends it."])

    def edit_report(self, planned: PreparedPlan, seen: float) -> EditReport:
        """What shows one run of a watch."""
        from mosaic_deploy.cli.render.text.edits import EditReport

        return EditReport(self.result, planned, seen)

    def still_failing(self, error: MosaicError, place: str, edits: Iterable[str]) -> None:
        """These were saved and aren't live: an error that was shown before, at `place`, still stands."""
        from mosaic_deploy.cli.render.text.edits import still_lines

        paths = sorted(edits)
        document = {"type": "still", "code": error.code, "path": place or None, "waiting": paths}
        self.result(document, still_lines(error.code, place, paths))

    def held(self, paths: Sequence[str]) -> None:
        """A pending migration has no statement yet, and those after it wait with it."""
        from mosaic_deploy.cli.render.text.edits import held_line

        self.result({"type": "held", "path": paths[0], "after": list(paths[1:])}, [held_line(paths)])

    def resolved(self) -> None:
        """What was wrong is right again, and live is what is on disk."""
        from mosaic_deploy.cli.render.text.edits import clock

        self.result({"type": "mended"}, [f"{clock()} in step again"])

    def draft(self, path: str, database: str, drafted: DraftResult, seconds: float, *, first: bool) -> None:
        """A draft of a migration has been tried, and apps see it; the `first` one is explained."""
        from mosaic_deploy.cli.render.text.drafts import draft_document, draft_lines

        document = draft_document(path, database, drafted, seconds)
        self.result(document, draft_lines(path, drafted, seconds, first=first))

    def draft_ended(self, path: str, why: str) -> None:
        """Apps don't see this draft any more."""
        from mosaic_deploy.cli.render.text.edits import clock

        self.result({"type": "draft_over", "path": path, "reason": why}, [f"{clock()} {path} → {why}"])

    def email(self, email: Mapping[str, Any]) -> None:
        """A mail that the embedded platform has got, with the link in it."""
        from mosaic_deploy.cli.render.text.edits import clock

        line = f"{clock()} mail to {email['to']}: {email['subject']}"
        self.result({"type": "mail", **email}, [f"{line}  {email['link']}" if email["link"] else line])

    def inbox(self, mails: Sequence[Mapping[str, Any]]) -> None:
        """Mails of the embedded platform, the newest first: a line each, and below it the link, whole."""
        lines = [
            line
            for email in mails
            for line in (
                f"{email['created_at']}  to {email['to']}: {email['subject']}",
                *([f"  {email['link']}"] if email["link"] else []),
            )
        ]
        self.result({"type": "inbox", "mails": list(mails)}, lines or ["No mails."])

    def watch_ended(self) -> None:
        """A watch was interrupted: the way it ends."""
        self.result({"type": "watch_ended"}, ["", "Stopped watching."])

    def print_notice(self, lines: Iterable[str]) -> None:
        """What a person should see before a question, beside the payload."""
        sys.stderr.writelines(f"{line}\n" for line in lines)

    def address_notice(self, told: str) -> None:
        """The embedded platform was started and has other addresses than before; nothing where it hasn't."""
        if told:
            self.print_notice([f"note: {told}"])

    def dashboard(self, link: str) -> None:
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
