"""`--output text`: for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli.render.text.error import error_lines, failure_lines
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.quantities import count_text, size_text

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import LiveState
    from mosaic_deploy.model.event import ApplyDone, Event, Noted, Waiting
    from mosaic_deploy.model.hazard import Hazard
    from mosaic_deploy.model.migration_status import MigrationStatus
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.model.snapshot import Project
    from mosaic_deploy.source.snapshot import Desired


class TextView:
    """`color`: None for as the stream allows, False for never."""

    def __init__(self, color: bool | None) -> None:
        self._color = color
        self._waiting = ""

    def plan(self, plan: Plan, *, final: bool) -> None:
        from mosaic_deploy.cli.render.text.plan import plan_lines

        for line in plan_lines(plan):
            self._out(line)

    def nothing_to_apply(self, plan: Plan, requests: int, sent: int) -> None:
        self.plan(plan, final=True)

    def nothing_to_do(self, plan: Plan, message: str) -> None:
        from mosaic_deploy.cli.render.text.plan import note_line

        for note in plan.notes:
            self._out(note_line(note))
        self._out(message)

    def waiting(self, event: Waiting | Noted) -> None:
        from mosaic_deploy.model.event import Noted

        if isinstance(event, Noted):
            self._err(f"note: {event.note.message}")
        elif event.reason != self._waiting:
            self._waiting = event.reason
            self._err(f"waiting {event.reason}")

    def hash_progress(self, done: int, total: int) -> None:
        self._err(f"  {size_text(done)} of {size_text(total)} hashed")

    def apply(self, plan: Plan, events: Iterator[Event]) -> int:
        from mosaic_deploy.cli.render.progress import show_events
        from mosaic_deploy.model.event import ApplyFailed

        last = show_events(events, color=self._color)
        if isinstance(last, ApplyFailed):
            for line in failure_lines(last):
                self._err(line)
            self.error(last.error)
            return last.error.exit_code
        self._show_applied(plan, last)
        return 0

    def validated(self, desired: Desired) -> None:
        snapshot = desired.snapshot
        parts = [
            count_text(len(snapshot.migrations or ()), "migration"),
            count_text(len(snapshot.static or ()), "static file"),
            count_text(len(snapshot.storage or ()), "asset"),
        ]
        if desired.notes:
            from mosaic_deploy.cli.render.text.plan import note_line

            for note in desired.notes:
                self._out(note_line(note))
        self._out(f"{desired.manifest.file.name} is valid: {', '.join(parts)}.")

    def status(self, live: LiveState, pending: Plan | MosaicError) -> None:
        from mosaic_deploy.cli.render.text.plan import summary_line
        from mosaic_deploy.cli.render.text.status import status_lines

        for line in status_lines(live):
            self._out(line)
        if isinstance(pending, MosaicError):
            self.error(pending)
        else:
            self._out(summary_line(pending))

    def platform(self, document: Mapping[str, Any]) -> None:
        for name, value in document.items():
            if value is not None:
                self._out(f"{name.replace('_', ' ') + ':':<16} {_value_text(value)}")

    def history(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        from mosaic_deploy.cli.render.text.migration_status import history_lines

        for line in history_lines(lines):
            self._out(line)

    def repairs(self, project: Project, lines: Sequence[MigrationStatus]) -> None:
        from mosaic_deploy.cli.render.text.migration_status import repair_lines

        for line in repair_lines(lines):
            self._out(line)

    def plan_saved(self, path: str) -> None:
        import shlex

        self._err(f"Saved. To apply exactly this plan:  mosaic-deploy apply {shlex.quote(path)}")

    def created(self, path: Path) -> None:
        self._out(str(path))

    def lint(self, hazards: Sequence[Hazard], files: int) -> None:
        from mosaic_deploy.cli.render.text.hazards import lint_lines

        for line in lint_lines(hazards, files):
            self._out(line)

    def result(self, document: Mapping[str, Any], text: Iterable[str]) -> None:
        for line in text:
            self._out(line)

    def error(self, error: MosaicError) -> None:
        for line in error_lines(error):
            self._err(line)

    def _show_applied(self, plan: Plan, end: ApplyDone) -> None:
        counts = plan.counts
        done = f"{counts.add} added, {counts.change} changed, {counts.destroy} destroyed"
        cost = f"{count_text(end.requests, 'request')}, {size_text(end.bytes_sent)} sent"
        self._out(click.style(f"Applied in {end.seconds:.1f} s: {done}.", fg="green") + f" ({cost})")
        if plan.partial:
            from mosaic_deploy.cli.render.text.plan import partial_line

            self._out(partial_line(plan))
        if not plan.project.id:
            where = f" under environments.{plan.environment}" if plan.environment else ""
            self._out(f"Pin the project in mosaic.yaml{where}, so that no other of this name is ever meant:")
            self._out(f"  project: {{ id: {end.project.id}, name: {_yaml_text(end.project.name)} }}")
        self._out(end.project.url)

    def _out(self, line: str) -> None:
        click.echo(line, color=self._color)

    def _err(self, line: str) -> None:
        sys.stdout.flush()
        click.echo(line, err=True, color=self._color)


def _yaml_text(text: str) -> str:
    """A JSON string is a YAML string, whatever is in it."""
    import json

    return json.dumps(text, ensure_ascii=False)


def _value_text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
