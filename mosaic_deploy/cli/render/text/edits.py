"""The lines of `watch` and `dev`: one for each change, with the time from save to live."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mosaic_deploy.model.change import Action, ApplyMigration, Change, Delete, Put, PutStorageFile, RunSeed
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone
from mosaic_deploy.model.quantities import age_text, count_text, duration_text
from mosaic_deploy.model.snapshot import ObjectState

if TYPE_CHECKING:
    from pathlib import Path

    from mosaic_deploy.deploy import PreparedPlan

WriteResult = Callable[[dict[str, Any], Iterable[str]], None]

_MAX_LINES = 10
"""A run of more changes gets one line with their number."""
_MAX_SAVE_AGE = 30.0
"""Seconds. A file with an older time wasn't saved for this run: it was moved here, for example."""
_MAX_NAMES = 3


class EditReport:
    """Writes the lines of one run. `seen` is when its edits were seen, in seconds since the epoch."""

    def __init__(self, write: WriteResult, planned: PreparedPlan, seen: float) -> None:
        self._write = write
        self._planned = planned
        self._seen = seen
        self._first_saved = min((self._saved_at(change) for change in planned.plan.changes), default=seen)
        self._summarized = len(planned.plan.changes) > _MAX_LINES

    def done(self, event: ChangeDone) -> None:
        """Writes a line once the platform has confirmed the change."""
        if not self._summarized:
            change = event.change
            seconds = time.time() - self._saved_at(change)
            self._report(change.address, self._name(change), _done_word(change), seconds)

    def ended(self, event: ApplyDone | ApplyFailed) -> None:
        if self._summarized and event.done:
            count = len(event.done)
            seconds = time.time() - self._first_saved
            self._report("", count_text(count, "change"), "live", seconds, changes=count)
        if isinstance(event, ApplyDone):
            self._report_kept()

    def _report_kept(self) -> None:
        """Files that were deleted from the folder but stay live, since pruning is off."""
        kept = [
            f"{kind}:{each.path}"
            for kind, found in self._planned.ledger_cleanup().items()
            for each in found.mark
            if each.state is ObjectState.KEPT
        ]
        for address in kept[:_MAX_LINES]:
            kind, _, live_path = address.partition(":")
            path = self._path_in_folder(kind, live_path)
            document = {"type": "kept_live", "address": address, "path": path}
            self._write(document, [f"{clock()} {path} → deleted here, still live (prune is off)"])

    def _report(self, address: str, name: str, verb: str, seconds: float, **more: object) -> None:
        document = {
            "type": "live",
            "address": address or None,
            "path": name if address else None,
            "done": verb,
            "milliseconds": round(seconds * 1000),
            **more,
        }
        self._write(document, [f"{clock()} {name} → {verb} in {duration_text(seconds)}"])

    def _saved_at(self, change: Change) -> float:
        """When the change's file was saved, else when the edits were seen."""
        path: Path | None = None
        if isinstance(change, Put):
            file = self._files(change).get(change.path)
            path = file.source if file else None
        elif isinstance(change, ApplyMigration):
            path = self._planned.desired.manifest.root / self._name(change)
        return save_time(path, self._seen) if path else self._seen

    def _name(self, change: Change) -> str:
        """The file's path in the project folder, else the change's address."""
        if isinstance(change, Put):
            file = self._files(change).get(change.path)
            return file.relative_path if file else change.path
        if isinstance(change, ApplyMigration):
            migrations = self._planned.desired.migrations
            named = (file.relative_path for file in migrations if file.migration.file == change.file)
            return next(named, change.file)
        if isinstance(change, Delete):
            return self._path_in_folder(change.kind, change.path)
        return change.path if isinstance(change, RunSeed) else change.address

    def _path_in_folder(self, kind: str, path: str) -> str:
        """Where the file was in the project folder, from its path on the project."""
        manifest = self._planned.desired.manifest
        if kind == "static":
            return f"{manifest.static.dir}/{path}" if manifest.static else path
        if manifest.storage is None:
            return path
        return f"{manifest.storage.dir}/{path.removeprefix(manifest.storage.prefix).lstrip('/')}"

    def _files(self, change: Put) -> Any:
        desired = self._planned.desired
        return desired.storage_files if isinstance(change, PutStorageFile) else desired.static


def save_time(path: Path, default: float) -> float:
    """When a file was last changed, in seconds since the epoch; `default` if that wasn't just now.

    The ctime, because a program can set the mtime.
    """
    try:
        saved = os.stat(path).st_ctime  # noqa: PTH116 - a path or its text
    except OSError:
        return default
    return saved if 0 <= time.time() - saved < _MAX_SAVE_AGE else default


def still_failing_lines(code: str, place: str, paths: Sequence[str]) -> Iterator[str]:
    """`public/a.css → waiting for sql/2_b.sql: error[migration_failed]`, for edits that an earlier error blocks."""
    if place in paths:
        yield f"{clock()} {place} → still error[{code}], as above"
    waiting = [path for path in paths if path != place]
    if waiting:
        more = [f"{len(waiting) - _MAX_NAMES} more"] if len(waiting) > _MAX_NAMES else []
        blocker = f" for {place}" if place else ""
        names = ", ".join([*waiting[:_MAX_NAMES], *more])
        yield f"{clock()} {names} → waiting{blocker}: error[{code}]"


def postponed_line(paths: Sequence[str]) -> str:
    """For a migration without a statement, and those after it."""
    rest = f"; {count_text(len(paths) - 1, 'migration')} after it will wait" if len(paths) > 1 else ""
    return f"{clock()} {paths[0]} has no statements yet; it is applied once you add one{rest}"


_MAX_FOLDERS = 5


def watched_line(folders: Sequence[str], inputs: Sequence[str]) -> str:
    """`folders` are watched; of them a build reads `inputs`, which may be many."""
    names = ["this folder" if name == "." else name for name in folders if name not in inputs]
    more = len(names) - _MAX_FOLDERS
    if more > 1:
        names[_MAX_FOLDERS:] = [count_text(more, "more folder")]
    names += ["the build's inputs"] if inputs else []
    if len(names) > 1 and (inputs or more > 1):
        names[-2:] = [" and ".join(names[-2:])]
    return f"Watching {', '.join(names) or 'the manifest'}. Press Ctrl-C to stop."


def clock() -> str:
    return time.strftime("%H:%M:%S")


def _done_word(change: Change) -> str:
    if isinstance(change, Put):
        return "live"
    if change.action is Action.DESTROY:
        return "deleted"
    if isinstance(change, Delete):
        return "left the folder, still live for a while"
    return "run" if isinstance(change, RunSeed) else "applied"


def email_line(email: Mapping[str, Any]) -> str:
    """An email that has just arrived, with the link in it."""
    line = f"{clock()} email to {email['to']}: {email['subject']}"
    return f"{line}  {email['link']}" if email["link"] else line


def inbox_lines(emails: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The emails, each with its link on a line of its own."""
    for email in emails:
        yield f"{age_text(str(email['created_at']))}  to {email['to']}: {email['subject']}"
        if email["link"]:
            yield f"  {email['link']}"
    if not emails:
        yield "No emails."
