"""The loop of `watch` and `dev`: wait for edits, run a deploy, show what failed, and try again.

It is a single thread: edits made during a run are collected by the listener and deployed by the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from mosaic_deploy.cli.run_apply import DeployOptions, plan_and_apply
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import require_confirmation
from mosaic_deploy.cli.watch.dev_keys import Asked
from mosaic_deploy.cli.watch.failures import (
    REPLAN_ERRORS,
    TRANSIENT_ERRORS,
    ShownErrors,
    error_file,
    suggest_reset,
    suggest_saving,
)
from mosaic_deploy.cli.watch.live_reload import WatchObserver
from mosaic_deploy.cli.watch.run import EditDeployer
from mosaic_deploy.errors import (
    Declined,
    Interrupted,
    MigrationError,
    MosaicError,
    Unauthorized,
    Unreachable,
    WatchFailed,
)
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Event, ProjectReady
from mosaic_deploy.model.snapshot import Project

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.watch import Edits

_MAX_ATTEMPTS = 3
"""Plans made for one set of edits; if files or the project change more often than that, the error is shown."""
_MIN_RETRY_DELAY, _MAX_RETRY_DELAY = 1.0, 15.0
"""Seconds until a run is retried by itself, doubled each time."""
_MANY_EDITS = 1000
"""With this many edits the system may have dropped events, so the folders are read again."""
_RESCAN_DELAY = 2.0
_WATCH_QUESTION = "Apply these changes, and deploy every change on save from now on?"
_UP_TO_DATE_QUESTION = "Everything is up to date. Deploy every change on save from now on?"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`open` reads the manifest and finds the key. With `asks_consent` the first apply has to be confirmed."""

    open: Callable[[], Session]
    deploy_options: DeployOptions
    poll: bool
    asks_consent: bool = True


def run_watch(screen: Screen, watch_options: WatchOptions, observer: WatchObserver | None = None) -> int:
    """Watches until interrupted, or a key ends it, and returns the exit code.

    Raises MosaicError's children until the first apply is confirmed; later errors are shown.
    """
    observer = observer or WatchObserver()
    code = Interrupted.exit_code
    try:
        with suppress(KeyboardInterrupt), closing(_Watcher(screen, watch_options, observer)) as watcher:
            watcher.run()
            code = 0
    finally:
        observer.on_end()
    screen.watch_ended()
    return code


class _Watcher:
    def __init__(self, screen: Screen, watch_options: WatchOptions, observer: WatchObserver) -> None:
        self._screen = screen
        self._options = watch_options
        self._observer = observer
        self._session = watch_options.open()
        self._deploy_options = replace(watch_options.deploy_options, superseded=self._has_new_edits)
        self._deployer = EditDeployer(screen, self._session, observer, self._deploy_options)
        self._shown_errors = ShownErrors(screen)
        self._retry_at: float | None = None
        self._retry_delay = _MIN_RETRY_DELAY
        self._reopen = False
        self._edits: Iterator[Edits]
        self._new_edits: Edits = frozenset()
        """Edits that were seen during a run, for the next one."""

    def close(self) -> None:
        self._deployer.close()

    def run(self) -> None:
        self._start_watching()
        self._first_run()
        while True:
            edits = self._next_edits()
            asked = self._observer.on_tick()
            if asked is Asked.QUIT:
                return
            draft_lost = self._deployer.check_draft()
            if not self._settings_files.isdisjoint(edits) or (edits and self._reopen):
                self._reopen_session(edits)
            elif asked is Asked.RUN:
                self._deployer.planner.forget()
                self._run_once(edits)
            elif edits or draft_lost or self._retry_is_due() or self._answered_yes():
                self._run_once(edits)

    def _next_edits(self) -> Edits:
        edits, self._new_edits = self._new_edits, frozenset()
        return edits or next(self._edits)

    def _has_new_edits(self) -> bool:
        """Whether files were edited since the run began. Takes a moment."""
        self._new_edits |= next(self._edits)
        return bool(self._new_edits)

    def _start_watching(self) -> None:
        """Starts listening before anything is read, so an edit in between is noticed."""
        from mosaic_deploy.deploy.planning.incremental import IncrementalPlanner
        from mosaic_deploy.watch import watch_edits, watched_paths

        session, options = self._session, self._options.deploy_options.plan_options
        planner = IncrementalPlanner(session.api, session.manifest, session.target, options)
        self._deployer.use(session, planner)
        paths = watched_paths(session.manifest)
        self._watched = (paths.folders, paths.inputs)
        self._settings_files = {session.manifest.file.name, ".env"}
        find_paths = partial(watched_paths, session.manifest)
        self._edits = watch_edits(paths, find_paths, poll=self._options.poll, deployed=planner.is_deployed)
        next(self._edits)
        self._new_edits = frozenset()

    def _first_run(self) -> None:
        """Plans and applies as `apply` does. Errors before the confirmation end the command."""
        events_seen: list[Event] = []
        ready: list[Project] = []

        def observe(events: Iterator[Event]) -> Iterator[Event]:
            for event in events:
                events_seen[:] = [event]
                ready.extend([event.project] if isinstance(event, ProjectReady) else ())
                if isinstance(event, ApplyFailed):
                    suggest_saving(event.error)
                yield event

        try:
            plan, code = self._plan_and_apply(observe, lambda: bool(events_seen))
        except MosaicError as error:
            if self._options.asks_consent:
                raise
            self._report_error(error)
            self._screen.watching(Project("", ""), *self._watched)
            self._deploy_unaffected(error, frozenset(), time.time())
            return
        if code == Interrupted.exit_code:
            raise KeyboardInterrupt
        last = events_seen[0] if events_seen else None
        project = last.project if isinstance(last, ApplyDone) else next(iter(ready), plan.project)
        self._observer.on_start(self._session, project.id)
        self._screen.watching(project, *self._watched)
        if isinstance(last, ApplyFailed):
            # The apply has shown this error already.
            self._deployer.record_failure(last.error, plan)
            self._handle_failure(last.error, shown=True)
            self._deploy_unaffected(last.error, frozenset(), time.time())
        else:
            self._run_once(frozenset())

    def _plan_and_apply(
        self, observe: Callable[[Iterator[Event]], Iterator[Event]], applied: Callable[[], bool]
    ) -> tuple[Plan, int]:
        """The plan and the exit code. If there was nothing to apply, watching alone is confirmed."""
        asks_consent, deploy_options = self._options.asks_consent, self._deploy_options
        if asks_consent:
            deploy_options = replace(deploy_options, question=_WATCH_QUESTION)
        with self._session.completing_errors():
            plan, code = plan_and_apply(self._screen, self._session, deploy_options, observe=observe)
            if asks_consent and not applied():
                command = with_options(command_line(), "--yes")
                require_confirmation(_UP_TO_DATE_QUESTION, yes=deploy_options.yes, command=command)
        return plan, code

    def _reopen_session(self, edits: Edits) -> None:
        """After an edit of the manifest or `.env`, and if the key or the API's URL may have changed."""
        try:
            session = self._options.open()
        except MosaicError as error:
            self._reopen = True
            self._report_error(error)
            return
        target_changed = self._options.asks_consent and not self._session.has_target_of(session)
        self._session.api.close()
        self._session = session
        self._reopen = False
        try:
            self._start_watching()
        except WatchFailed as error:
            self._report_error(error)
            raise
        if target_changed:
            # Only the old target was confirmed.
            self._first_run()
        else:
            self._run_once(frozenset())

    def _answered_yes(self) -> bool:
        try:
            return self._deployer.answered_yes()
        except Declined as error:
            self._report_error(error)
            return False

    def _retry_is_due(self) -> bool:
        return self._retry_at is not None and time.monotonic() >= self._retry_at

    def _run_once(self, edits: Edits) -> None:
        """Deploys what the edits changed, or shows why it can't."""
        seen = time.time()
        self._retry_at = None
        try:
            with self._session.completing_errors():
                error = self._deploy_with_retries(edits, seen)
        except MosaicError as raised:
            error = raised
        if error is not None:
            self._report_failed_run(error, edits, seen)
        elif len(edits) >= _MANY_EDITS:
            self._retry_at = time.monotonic() + _RESCAN_DELAY

    def _deploy_with_retries(self, edits: Edits, seen: float) -> MosaicError | None:
        error: MosaicError | None = None
        for _ in range(_MAX_ATTEMPTS):
            error = self._deployer.deploy(edits, seen)
            if error is None and not self._deployer.unanswered:
                self._report_resolved()
            if not isinstance(error, REPLAN_ERRORS):
                break
        return error

    def _handle_failure(self, error: MosaicError, *, shown: bool = False) -> None:
        """Shows the error unless it was `shown`; schedules a retry if that may help without an edit."""
        self._reopen = isinstance(error, Unauthorized | Unreachable)
        if isinstance(error, TRANSIENT_ERRORS):
            self._retry_at = time.monotonic() + self._retry_delay
            self._retry_delay = min(_MAX_RETRY_DELAY, 2 * self._retry_delay)
        self._report_error(error, shown=shown)

    def _report_failed_run(self, error: MosaicError, edits: Edits, seen: float) -> None:
        """Shows the error of a run, or that it still blocks these edits; deploys what doesn't depend on it."""
        blocked = self._shown_errors.blocked_edits(error, edits, self._session.manifest.root)
        draft_reached = self._deployer.draft_reached
        self._handle_failure(error)
        left = edits & {error_file(error)} if draft_reached else self._deploy_unaffected(error, edits, seen)
        if blocked & left:
            self._screen.still_failing(error, error_file(error), blocked & left)

    def _deploy_unaffected(self, error: MosaicError, edits: Edits, seen: float) -> Edits:
        """Deploys files and the draft although a migration fails with `error`; returns the edits that must wait.

        Only on this machine: elsewhere, other people would get pages that need a schema that isn't there yet.
        """
        if not self._session.local or not isinstance(error, MigrationError):
            return edits
        try:
            with self._session.completing_errors():
                planned = self._deployer.deploy_files(seen)
        except MosaicError as other:
            self._shown_errors.report_secondary(other)
            return edits
        if planned is None:
            return edits
        # The observer has reported the files as live, but the error is still there.
        self._observer.on_error(error)
        desired = planned.desired
        return edits & {file.relative_path for file in (*desired.migrations, *desired.seeds)}

    def _report_error(self, error: MosaicError, *, shown: bool = False) -> None:
        suggest_reset(self._session, self._deployer.project_id, error)
        self._shown_errors.report(error, shown=shown)
        self._observer.on_error(error)

    def _report_resolved(self) -> None:
        self._retry_delay = _MIN_RETRY_DELAY
        self._shown_errors.resolved()
        self._observer.resolved()
