"""`--output text`: every text for people goes through here and is wrapped to the terminal's width."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaic_deploy.cli.render.layout import output_width, wrap, write_lines
from mosaic_deploy.cli.render.text.error import error_lines, failure_lines
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.errors import MosaicError, NextAction
from mosaic_deploy.model.quantities import count_text, duration_text, size_text

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.progress import EventDisplay
    from mosaic_deploy.live.snapshot import LiveState
    from mosaic_deploy.model.event import ApplyDone, Event, Noted, StillRunning, Waiting
    from mosaic_deploy.model.hazard import Hazard
    from mosaic_deploy.model.migration_history import MigrationStatus
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.model.snapshot import Project
    from mosaic_deploy.source.snapshot import Desired


class TextView:
    """`color`: False for never, None for on terminals only."""

    def __init__(self, color: bool | None) -> None:
        self._color = color
        self._waiting = ""
        self._display: EventDisplay | None = None

    def plan(self, plan: Plan, *, final: bool, target: str = "") -> None:
        from mosaic_deploy.cli.render.text.plan import plan_lines

        self._out(*plan_lines(plan, output_width(sys.stdout), target))

    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None:
        self.plan(plan, final=True)

    def nothing_to_do(self, plan: Plan, message: str) -> None:
        from mosaic_deploy.cli.render.text.plan import note_line

        self._out(*(note_line(note) for note in plan.notes), message)

    def waiting(self, event: Waiting | Noted) -> None:
        from mosaic_deploy.model.event import Noted

        if isinstance(event, Noted):
            self._err(f"note: {event.note.message}")
        elif event.reason != self._waiting:
            self._waiting = event.reason
            self._err(f"waiting {event.reason}")

    def hash_progress(self, done: int, total: int) -> None:
        self._err(f"  hashed {size_text(done)} of {size_text(total)}")

    def still_running(self, event: StillRunning) -> None:
        if self._display:
            self._display.show(event)

    def paused(self) -> AbstractContextManager[None]:
        return self._display.paused() if self._display else nullcontext()

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        from mosaic_deploy.cli.render.progress import make_display, show_events
        from mosaic_deploy.model.event import ApplyFailed

        self._display = make_display(self._color)
        last = show_events(events, self._display)
        self._display = None
        if isinstance(last, ApplyFailed):
            self._err(*failure_lines(last))
            self.error(last.error)
            return last.error.exit_code
        self._show_applied(plan, last)
        return 0

    def validated(self, desired: Desired) -> None:
        from mosaic_deploy.cli.render.text.storage_urls import validated_url_lines
        from mosaic_deploy.live.storage_urls import storage_paths

        snapshot = desired.snapshot
        counts = [
            count_text(len(snapshot.migrations or ()), "migration"),
            count_text(len(snapshot.static or ()), "static file"),
            count_text(len(snapshot.storage or ()), "storage file"),
        ]
        if desired.notes:
            from mosaic_deploy.cli.render.text.plan import note_line

            self._out(*(note_line(note) for note in desired.notes))
        self._out(f"{desired.manifest.file.name} is valid: {', '.join(counts)}.")
        self._out(*validated_url_lines(storage_paths(snapshot.storage or ())))

    def status(
        self, live: LiveState, pending: Plan | MosaicError | None, next_actions: Sequence[NextAction] = ()
    ) -> None:
        from mosaic_deploy.cli.render.text.plan import note_line, pending_line
        from mosaic_deploy.cli.render.text.status import status_lines
        from mosaic_deploy.model.plan import STATUS_CODES

        self._out(*status_lines(live, output_width(sys.stdout)))
        if isinstance(pending, MosaicError):
            self.error(pending)
        elif pending:
            self._out(pending_line(pending))
            self._out(*(note_line(note) for note in pending.notes if note.code in STATUS_CODES))
        else:
            self._out("Nothing was compared, because there is no manifest here.")
        self._out(*(f"  next: {action.description}:  {action.command}" for action in next_actions))

    def platform(self, document: Mapping[str, Any]) -> None:
        width = output_width(sys.stdout)
        for name, value in document.items():
            if value is not None:
                label = _LABELS.get(name, name.replace("_", " "))
                self._out(*wrap(f"{label + ':':<16} {_value_text(name, value)}", width, 17))

    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        from mosaic_deploy.cli.render.text.migration_status import history_lines

        self._out(*history_lines(lines, output_width(sys.stdout)))

    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        from mosaic_deploy.cli.render.text.migration_status import repair_lines

        self._out(*repair_lines(lines))

    def plan_saved(self, path: str, command: str) -> None:
        if command:
            self._err("Plan saved. To apply exactly this plan:", f"  {command}")
        else:
            self._err(f"Plan saved for review in {path}; apply will refuse it.")

    def created(self, path: Path) -> None:
        self._out(str(path))

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        from mosaic_deploy.cli.render.text.hazards import lint_lines

        self._out(*lint_lines(hazards, files, output_width(sys.stdout)))

    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        for line in text:
            self._out(line)

    def error(self, error: MosaicError) -> None:
        self._err(*error_lines(error, output_width(sys.stderr)))

    def _show_applied(self, plan: Plan, end: ApplyDone) -> None:
        counts = plan.counts
        done = f"{counts.add} added, {counts.change} changed, {counts.destroy} destroyed"
        cost = f"{count_text(end.requests, 'request')}, {size_text(end.bytes_sent)} sent"
        applied = style(f"{_done_text(plan)} in {duration_text(end.seconds)}: {done}.", fg="green")
        self._out(f"{applied} ({cost})")
        if plan.partial:
            from mosaic_deploy.cli.render.text.plan import partial_line

            self._out(partial_line(plan))
        if not plan.project.id and not end.project.is_local:
            where = f" under environments.{plan.environment}" if plan.environment else ""
            # A JSON string is a YAML string, whatever is in it.
            name = json.dumps(end.project.name, ensure_ascii=False)
            self._out(
                f"Pin the project ID in mosaic.yaml{where} so a same-named project is never used by mistake:",
                f"  project: {{ id: {end.project.id}, name: {name} }}",
            )
        self._out(end.project.url)

    def _out(self, *lines: str) -> None:
        write_lines(sys.stdout, lines, self._color)

    def _err(self, *lines: str) -> None:
        sys.stdout.flush()
        write_lines(sys.stderr, lines, self._color)


def _done_text(plan: Plan) -> str:
    """What was done with the plan: only an apply and a rollback run anything."""
    from mosaic_deploy.model.change import (
        AcceptSchema,
        ForgetMigration,
        RecordMigration,
        RecordRepeatable,
        RollBackMigration,
    )

    if any(isinstance(change, RollBackMigration) for change in plan.changes):
        return "Rolled back"
    recorded = (RecordMigration, RecordRepeatable, ForgetMigration, AcceptSchema)
    only_recorded = plan.changes and all(isinstance(change, recorded) for change in plan.changes)
    return "Recorded" if only_recorded else "Applied"


_LABELS = {"data_bytes": "total size", "bytes": "size"}


def _value_text(name: str, value: object) -> str:
    """The value of a platform document's field; `sizes` and names ending in `bytes` are bytes."""
    if isinstance(value, int) and name.endswith("bytes"):
        return size_text(value)
    if isinstance(value, Mapping):
        if name == "sizes":
            value = {inner: size_text(size) for inner, size in value.items()}
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
