"""The screen that commands talk to: it passes everything to the view that `--output` chooses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mosaic_deploy.cli.render.layout import is_live_terminal, write_lines
from mosaic_deploy.cli.visible_text import is_shown, write_exactly
from mosaic_deploy.errors import MosaicError, NextAction

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.text.edits import EditReport
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.deploy.draft import DraftResult
    from mosaic_deploy.live.snapshot import LiveState
    from mosaic_deploy.model.event import Event, Noted, SqlNotice, StillRunning, Waiting
    from mosaic_deploy.model.hazard import Hazard
    from mosaic_deploy.model.migration_history import MigrationStatus
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.model.snapshot import Project
    from mosaic_deploy.source.snapshot import Desired


class View(Protocol):
    """One output format. `apply` returns the exit code."""

    def plan(self, plan: Plan, *, final: bool, target: str = "") -> None: ...
    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None: ...
    def nothing_to_do(self, plan: Plan, message: str) -> None: ...
    def waiting(self, event: Waiting | Noted) -> None: ...
    def hash_progress(self, done: int, total: int) -> None: ...
    def still_running(self, event: StillRunning) -> None: ...
    def paused(self) -> AbstractContextManager[None]: ...
    def apply(self, plan: Plan, events: Iterator[Event]) -> int: ...
    def validated(self, desired: Desired) -> None: ...
    def status(
        self, live: LiveState, pending: Plan | MosaicError | None, next_actions: Sequence[NextAction] = ()
    ) -> None: ...
    def platform(self, document: Mapping[str, Any]) -> None: ...
    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None: ...
    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None: ...
    def plan_saved(self, path: str, command: str) -> None: ...
    def created(self, path: Path) -> None: ...
    def lint(self, hazards: Sequence[Hazard], files: int) -> None: ...
    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None: ...
    def error(self, error: MosaicError) -> None: ...


class Screen:
    """Set up by `--output` and `--no-color` before a command runs."""

    def __init__(self) -> None:
        self.format = "text"
        self.color: bool | None = False if os.environ.get("NO_COLOR") else None
        self.target = ""
        """Where the command's plans are applied, for people."""
        self._view: View | None = None

    @property
    def view(self) -> View:
        if self._view is None:
            self._view = self._make_view()
        return self._view

    def _make_view(self) -> View:
        if self.format in ("json", "ndjson"):
            from mosaic_deploy.cli.render.json_views import JsonView, NdjsonView

            return JsonView() if self.format == "json" else NdjsonView()
        from mosaic_deploy.cli.render.text.view import TextView

        return TextView(self.color)

    def plan(self, plan: Plan, *, final: bool) -> None:
        """`final`: the command ends with this plan."""
        self.view.plan(plan, final=final, target=self.target)

    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None:
        """A successful apply of an empty plan. `requests` and `sent` bytes are what it cost."""
        self.view.nothing_to_apply(plan, requests, sent)

    def nothing_to_do(self, plan: Plan, message: str) -> None:
        """An empty plan; `message` says so to people."""
        self.view.nothing_to_do(plan, message)

    def waiting(self, event: Waiting | Noted) -> None:
        """A wait, or a note, before there is a plan."""
        self.view.waiting(event)

    @contextmanager
    def compare_progress(self, *, wanted: bool) -> Iterator[Callable[[int, int, int], None] | None]:
        """Shows people how many live files have been compared. Yields None unless `wanted`."""
        if not wanted:
            yield None
        elif self.format != "text":
            yield lambda *_: None
        else:
            from mosaic_deploy.cli.render.reading_progress import compare_progress

            with compare_progress(self.color) as on_progress:
                yield on_progress

    @contextmanager
    def hash_progress(self) -> Iterator[Callable[[int, int], None]]:
        """Shows how many bytes of the files have been hashed, if that takes longer than a second."""
        from mosaic_deploy.cli.render.reading_progress import Throttled, hash_progress

        if self.format == "text" and is_live_terminal():
            with hash_progress(self.color) as on_progress:
                yield on_progress
        else:
            yield Throttled(self.view.hash_progress)

    @contextmanager
    def copy_progress(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """Shows people how many bytes of a copy are `written` or `read`."""
        if self.format != "text":
            yield lambda *_: None
            return
        from mosaic_deploy.cli.render.reading_progress import copy_progress

        with copy_progress(self.color, what) as on_progress:
            yield on_progress

    def still_running(self, event: StillRunning) -> None:
        """SQL has been running for a while. Called by another thread, during `apply`."""
        self.view.still_running(event)

    def paused(self) -> AbstractContextManager[None]:
        """For a question during `apply`: meanwhile no progress is drawn."""
        return self.view.paused()

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        return self.view.apply(plan, events)

    def validated(self, desired: Desired) -> None:
        self.view.validated(desired)

    def status(
        self, live: LiveState, pending: Plan | MosaicError | None, next_actions: Sequence[NextAction] = ()
    ) -> None:
        """What is live and what is pending; None if there is no manifest to compare with. `next_actions` resolve what isn't an error."""
        self.view.status(live, pending, next_actions)

    def platform(self, document: Mapping[str, Any]) -> None:
        self.view.platform(document)

    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        """The state of each migration, with the commands that fix what is wrong."""
        self.view.history(project, lines)

    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        """What is wrong with the migration history, and the commands that fix it."""
        self.view.repairs(project, lines)

    def plan_saved(self, path: str, command: str) -> None:
        """The plan that was shown is saved in this file, and `command` applies it; empty if that will be refused."""
        self.view.plan_saved(path, command)

    def created(self, path: Path) -> None:
        self.view.created(path)

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        """The findings in `files` files."""
        self.view.lint(hazards, files)

    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        """A command's result: a document with a `type` for programs, lines of text for people."""
        self.view.result(document, text)

    def error(self, error: MosaicError) -> None:
        self.view.error(error)

    def watching(self, project: Project, folders: Sequence[str], inputs: Sequence[str]) -> None:
        """Edits in `folders` are deployed from now on. Of them a build reads `inputs`."""
        from mosaic_deploy.cli.render.text.edits import watched_line

        known = {"project": project.id or None, "url": project.url or None}
        document = {"type": "watching", **known, "folders": list(folders)}
        self.result(document, [watched_line(folders, inputs)])

    def edit_report(self, planned: PreparedPlan, seen: float) -> EditReport:
        """The report of one run of a watch, whose edits were `seen` at that time."""
        from mosaic_deploy.cli.render.text.edits import EditReport

        return EditReport(self.result, planned, seen)

    def still_failing(self, error: MosaicError, place: str, edits: Iterable[str]) -> None:
        """These edits aren't live because of an error, in the file `place`, that was shown before."""
        from mosaic_deploy.cli.render.text.edits import still_failing_lines

        paths = sorted(edits)
        document = {"type": "still_failing", "code": error.code, "path": place or None, "waiting": paths}
        self.result(document, still_failing_lines(error.code, place, paths))

    def postponed(self, paths: Sequence[str]) -> None:
        """The first of these migrations has no statements yet; the others wait for it."""
        from mosaic_deploy.cli.render.text.edits import postponed_line

        self.result(
            {"type": "postponed", "path": paths[0], "after": list(paths[1:])}, [postponed_line(paths)]
        )

    def resolved(self, *, draft: bool) -> None:
        """The last error is fixed; if it was one of the draft, nothing was deployed."""
        from mosaic_deploy.cli.render.text.edits import clock

        self.result({"type": "resolved"}, [f"{clock()} fixed{'' if draft else '; everything is deployed'}"])

    def draft(self, path: str, database: str, drafted: DraftResult, seconds: float, *, first: bool) -> None:
        """A draft was applied to a copy of the database, which apps use now; the `first` draft is explained."""
        from mosaic_deploy.cli.render.text.drafts import draft_document, draft_lines

        document = draft_document(path, database, drafted, seconds)
        self.result(document, draft_lines(path, drafted, seconds, first=first))

    def draft_ended(self, path: str, why: str) -> None:
        """Apps no longer use the draft's copy of the database."""
        from mosaic_deploy.cli.render.text.edits import clock

        self.result({"type": "draft_removed", "path": path, "reason": why}, [f"{clock()} {path} → {why}"])

    def email(self, email: Mapping[str, Any]) -> None:
        """An email that the embedded platform received, with the link in it."""
        from mosaic_deploy.cli.render.text.edits import email_line

        self.result({"type": "email", **email}, [email_line(email)])

    def inbox(self, emails: Sequence[Mapping[str, Any]]) -> None:
        """The embedded platform's emails, the newest first, each with its link on a line of its own."""
        from mosaic_deploy.cli.render.text.edits import inbox_lines

        self.result({"type": "inbox", "emails": list(emails)}, inbox_lines(emails))

    def watch_ended(self) -> None:
        self.result({"type": "watch_ended"}, ["", "Stopped watching."])

    def print_notice(self, lines: Iterable[str]) -> None:
        """Text for a person on stderr, in every format."""
        write_lines(sys.stderr, lines)

    def sql_notices(self, notices: Iterable[SqlNotice]) -> None:
        """What PostgreSQL reported while a query ran. JSON has it in the result."""
        if self.format == "text":
            from mosaic_deploy.cli.render.notices import notice_lines

            self.print_notice(line for notice in notices for line in notice_lines(notice))

    def address_notice(self, notice: str) -> None:
        """Says that the embedded platform was started at other addresses than before, if `notice` does."""
        if notice:
            self.print_notice([f"note: {notice}"])

    def dashboard(self, link: str) -> None:
        """The link to the embedded platform's dashboard, for people."""
        if self.format == "text":
            self.print_notice([f"Dashboard: {link}"])

    def link(self, document: Mapping[str, Any]) -> None:
        """A URL to open; as text it is the whole output, so that it can be piped."""
        if self.format == "text":
            self.text(str(document["url"]))
        else:
            self.view.platform(document)

    def key(self, document: Mapping[str, Any]) -> None:
        """An API key; as text it is the whole output, so that a script can read it."""
        if self.format == "text":
            self.text(str(document["api_key"]))
        else:
            self.view.platform(document)

    def log_line(self, line: str, *, raw: bool) -> None:
        """One line of the embedded platform's log, flushed at once."""
        from mosaic_deploy.cli.render.text.status import log_line

        self.text(line if raw else log_line(line))
        sys.stdout.flush()

    def exact_text(self, text: str) -> None:
        """Text whose every character counts, if a program reads it: terminals and CI logs get it as `text`."""
        write = self.text if is_shown(sys.stdout) else partial(write_exactly, sys.stdout)
        write(text)

    def text(self, text: str) -> None:
        """A payload that is the same text in every format; never wrapped."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
