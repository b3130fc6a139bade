"""What a watch says: one line for each change, with how long it took from save to live."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mosaic_deploy.model.change import Action, ApplyMigration, Change, Put, PutStorageFile, RunSeed
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.model.snapshot import ObjectState

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PreparedPlan

WriteResult = Callable[[dict[str, Any], Iterable[str]], None]

_MAX_LINES = 10
"""Changes of a run that get a line each; of more, the number is told."""
_MAX_SAVE_AGE = 30.0
"""Seconds: a file whose time is older was moved here, and nobody knows when."""


class EditReport:
    """The lines of one run. `seen` is when its edits had settled."""

    def __init__(self, say: WriteResult, planned: PreparedPlan, seen: float) -> None:
        self._write = say
        self._planned = planned
        self._settled_at = seen
        self._first_saved = min((self._save_time(change) for change in planned.plan.changes), default=seen)
        self._summarized = len(planned.plan.changes) > _MAX_LINES

    def done(self, event: ChangeDone) -> None:
        """Said when the platform has confirmed it."""
        if self._summarized:
            return
        change = event.change
        elapsed = time.time() - self._save_time(change)
        self._report(change.address, self._name(change), _done_word(change), elapsed)

    def ended(self, event: ApplyDone | ApplyFailed) -> None:
        if self._summarized and event.done:
            count = len(event.done)
            self._report(
                "", count_text(count, "change"), "live", time.time() - self._first_saved, changes=count
            )
        if isinstance(event, ApplyDone):
            self._report_left_live()

    def _report_left_live(self) -> None:
        """Files that were deleted here and, without pruning, not there."""
        left = [
            f"{kind}:{each.path}"
            for kind, found in self._planned.ledger_cleanup().items()
            for each in found.mark
            if each.state is ObjectState.KEPT
        ]
        for address in left[:_MAX_LINES]:
            document = {"type": "left_live", "address": address, "path": address.partition(":")[2]}
            self._write(document, [f"{clock()} {document['path']} → deleted here, left live (prune is off)"])

    def _report(self, address: str, name: str, verb: str, seconds: float, **more: object) -> None:
        document = {
            "type": "live",
            "address": address or None,
            "path": name if address else None,
            "done": verb,
            "milliseconds": round(seconds * 1000),
            **more,
        }
        self._write(document, [f"{clock()} {name} → {verb} in {elapsed(seconds)}"])

    def _save_time(self, change: Change) -> float:
        """When the file was saved, or put in place: the time of its last change, which a program can't set."""
        if isinstance(change, Put):
            files = (
                self._planned.desired.storage_files
                if isinstance(change, PutStorageFile)
                else self._planned.desired.static
            )
            file = files.get(change.path)
            path = file and file.source
        elif isinstance(change, ApplyMigration):
            path = self._planned.desired.manifest.root / self._name(change)
        else:
            path = None
        try:
            saved = os.stat(path).st_ctime if path else self._settled_at  # noqa: PTH116 - may be None
        except OSError:
            return self._settled_at
        return saved if 0 <= time.time() - saved < _MAX_SAVE_AGE else self._settled_at

    def _name(self, change: Change) -> str:
        desired = self._planned.desired
        if isinstance(change, Put):
            files = desired.storage_files if isinstance(change, PutStorageFile) else desired.static
            return files[change.path].relative_path if change.path in files else change.path
        if isinstance(change, ApplyMigration):
            named = (file.relative_path for file in desired.migrations if file.migration.file == change.file)
            return next(named, change.file)
        return change.path if isinstance(change, RunSeed) else change.address


_MAX_NAMES = 3


def still_lines(code: str, place: str, paths: Sequence[str]) -> Iterator[str]:
    """`public/a.css → waits for sql/2_b.sql: error[migration_failed] still stands`."""
    if place in paths:
        yield f"{clock()} {place} → still error[{code}], as above"
    waiting = [path for path in paths if path != place]
    if waiting:
        more = [f"{len(waiting) - _MAX_NAMES} more"] if len(waiting) > _MAX_NAMES else []
        on = f" for {place}" if place else ""
        named = ", ".join([*waiting[:_MAX_NAMES], *more])
        yield f"{clock()} {named} → waits{on}: error[{code}] still stands"


def held_line(paths: Sequence[str]) -> str:
    rest = f", and {count_text(len(paths) - 1, 'file')} after it" if len(paths) > 1 else ""
    return f"{clock()} {paths[0]} has no statement yet: it is applied when it has one{rest}"


def clock() -> str:
    return time.strftime("%H:%M:%S")


def _done_word(change: Change) -> str:
    if isinstance(change, Put):
        return "live"
    if change.action is Action.DESTROY:
        return "deleted"
    return "run" if isinstance(change, RunSeed) else "applied"


def elapsed(seconds: float) -> str:
    """`84 ms`, `1.2 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
