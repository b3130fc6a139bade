"""Keeping a target in step with the folder: what `watch` and `dev` share.

One thread: while a run is under way the listener gathers what is edited meanwhile, so there is one run at most, and
one pending, which is all of that.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.plan_retries import plan_when_lease_free
from mosaic_deploy.cli.run_apply import DeployOptions, plan_and_apply
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.identity import holder, local_processes
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import require_consent, require_plan_consent
from mosaic_deploy.cli.terminal.interrupts import InterruptibleEvents
from mosaic_deploy.cli.watch.drafting import DraftRunner
from mosaic_deploy.cli.watch.failures import (
    REPLAN_ERRORS,
    TRANSIENT_ERRORS,
    ShownErrors,
    error_file,
    refuse_empty_site,
    suggest_reset,
    suggest_saving,
)
from mosaic_deploy.cli.watch.live_reload import WatchObserver
from mosaic_deploy.cli.watch.stalled import FailedMigration
from mosaic_deploy.errors import (
    Interrupted,
    MigrationError,
    MosaicError,
    Unauthorized,
    Unreachable,
    WatchFailed,
)
from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone, Event, Noted, Waiting
from mosaic_deploy.model.snapshot import Project

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.deploy.planning.incremental import IncrementalPlanner
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.watch import Edits

_MAX_ATTEMPTS = 3
"""Plans made for one set of edits: where live, or a file, moves more often, the error is shown."""
_MIN_RETRY_DELAY, _MAX_RETRY_DELAY = 1.0, 15.0
"""Seconds until a run is tried again by itself, doubled each time."""
_MANY_EDITS = 1000
_RESCAN_DELAY = 2.0
_WATCH_QUESTION = "Apply these changes, and from now on every edit as it is saved?"
_UP_TO_DATE_QUESTION = "Nothing differs. Apply from now on every edit as it is saved?"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`open` reads the manifest and finds the key. `asks_consent`: consent is asked for once before anything is sent."""

    open: Callable[[], Session]
    deploy_options: DeployOptions
    poll: bool
    asks_consent: bool = True


def run_watch(screen: Screen, watch_options: WatchOptions, companion: WatchObserver | None = None) -> int:
    """Returns the exit code once it is interrupted. Raises MosaicError's children before the first consent."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    companion = companion or WatchObserver()
    try:
        watcher = _Watcher(screen, watch_options, companion)
        with closing(watcher):
            watcher.run()
    except KeyboardInterrupt:
        screen.watch_ended()
    finally:
        companion.on_end()
        signal.signal(signal.SIGTERM, before)
    return Interrupted.exit_code


class _Watcher:
    def __init__(self, screen: Screen, watch_options: WatchOptions, companion: WatchObserver) -> None:
        self._screen = screen
        self._options = watch_options
        self._observer = companion
        self._draft_runner = DraftRunner(screen)
        self._session = watch_options.open()
        self._failed_migration = FailedMigration()
        self._shown_errors = ShownErrors(screen)
        self._held: tuple[str, ...] = ()
        self._draft_reached = False
        """Whether the run has come to the draft: everything else is live then."""
        self._retry_at: float | None = None
        self._retry_delay = _MIN_RETRY_DELAY
        self._reopen = False
        self._project_id = ""
        self._following: IncrementalPlanner
        self._edits: Iterator[Edits]

    def close(self) -> None:
        self._draft_runner.close()
        self._session.api.close()

    def run(self) -> None:
        self._start_watching()
        self._first_run()
        while True:
            for edits in self._edits:
                self._observer.on_tick()
                self._draft_runner.report_taken_over()
                if self._touches_settings(edits) or (edits and self._reopen):
                    self._reopen_session(edits)
                    break
                if edits or self._retry_is_due():
                    self._run_once(edits)

    def _start_watching(self) -> None:
        """Listens from here on, so whatever is read later, no edit is missed."""
        from mosaic_deploy.deploy.planning.incremental import IncrementalPlanner
        from mosaic_deploy.watch import watch_edits, watched_paths

        session, options = self._session, self._options.deploy_options.plan_options
        self._following = IncrementalPlanner(session.api, session.manifest, session.target, options)
        places = watched_paths(session.manifest)
        self._folders = places.folders
        self._settings_files = {session.manifest.file.name, ".env"}
        self._edits = watch_edits(places, poll=self._options.poll, deployed=self._following.is_deployed)
        next(self._edits)

    def _first_run(self) -> None:
        """The first run, as `apply` runs it; what it raises before anybody agreed ends the command."""
        ended: list[Event] = []

        def observe(events: Iterator[Event]) -> Iterator[Event]:
            for event in events:
                ended[:] = [event]
                if isinstance(event, ApplyFailed):
                    suggest_saving(event.error)
                yield event

        question = _WATCH_QUESTION if self._options.asks_consent else self._options.deploy_options.question
        deploy_options = replace(self._options.deploy_options, question=question)
        try:
            with self._session.completing_errors():
                plan, code = plan_and_apply(self._screen, self._session, deploy_options, observe=observe)
                if not ended and self._options.asks_consent:
                    require_consent(
                        _UP_TO_DATE_QUESTION,
                        yes=deploy_options.yes,
                        command=with_options(command_line(), "--yes"),
                    )
        except MosaicError as error:
            if self._options.asks_consent:
                raise
            self._report_error(error)
            self._screen.watching(Project("", ""), self._folders)
            self._deploy_unaffected(error, frozenset(), time.time())
            return
        if code == Interrupted.exit_code:
            raise KeyboardInterrupt
        last = ended[0] if ended else None
        project = last.project if isinstance(last, ApplyDone) else plan.project
        self._observer.on_start(self._session, project.id)
        self._screen.watching(project, self._folders)
        if isinstance(last, ApplyFailed):
            # Shown by the apply itself.
            self._failed_migration.record_failure(last.error, plan, self._following)
            self._handle_failure(last.error, shown=True)
            self._deploy_unaffected(last.error, frozenset(), time.time())
        else:
            self._run_once(frozenset())

    def _touches_settings(self, edits: Edits) -> bool:
        return not self._settings_files.isdisjoint(edits)

    def _reopen_session(self, edits: Edits) -> None:
        """After an edit of the manifest or `.env`, and where the key or the address may be another."""
        try:
            session = self._options.open()
        except MosaicError as error:
            self._reopen = True
            self._report_error(error)
            return
        before = _target_of(self._session)
        database_changed = self._options.asks_consent and before != _target_of(session)
        self._session.api.close()
        self._session = session
        self._reopen = False
        self._failed_migration.clear()
        try:
            self._start_watching()
        except WatchFailed as error:
            self._report_error(error)
            raise
        if database_changed:
            # Another project: nobody has agreed to that one.
            self._first_run()
        else:
            self._run_once(frozenset())

    def _retry_is_due(self) -> bool:
        return self._draft_runner.lost or (self._retry_at is not None and time.monotonic() >= self._retry_at)

    def _run_once(self, edits: Edits) -> None:
        """One run: whatever the edits changed is live after it, or the error is shown."""
        seen = time.time()
        self._retry_at = None
        self._draft_reached = False
        failed: MosaicError | None = None
        try:
            with self._session.completing_errors():
                for number in range(1, _MAX_ATTEMPTS + 1):
                    error = self._attempt(edits, seen)
                    if error is None:
                        # Of very many edits the system may have told too few; the disk is read once more.
                        self._retry_at = (
                            time.monotonic() + _RESCAN_DELAY if len(edits) >= _MANY_EDITS else None
                        )
                        return
                    if not isinstance(error, REPLAN_ERRORS) or number == _MAX_ATTEMPTS:
                        failed = error
                        break
        except MosaicError as error:
            failed = error
        if failed is not None:
            self._report_failed_run(failed, edits, seen)

    def _attempt(self, edits: Edits, seen: float) -> MosaicError | None:
        from mosaic_deploy.live.ledger.lease import WaitPolicy

        deploy_options, session = self._options.deploy_options, self._session
        wait_policy = WaitPolicy(deploy_options.lock_timeout, deploy_options.force_unlock, local_processes())
        planned = plan_when_lease_free(
            self._screen, session.api, lambda: self._following.plan(edits), wait_policy, holder()
        )
        if planned.plan.project.id:
            self._project_id = planned.plan.project.id
            self._observer.on_start(session, planned.plan.project.id)
        self._report_held(planned)
        if not planned.has_work:
            self._run_draft(planned, database_changed=False)
            self._report_resolved()
            return None
        if error := self._failed_migration.repeated_error(planned):
            return error
        refuse_empty_site(planned)
        self._require_consent(planned.plan)
        last = self._apply_plan(planned, seen)
        if isinstance(last, ApplyFailed):
            self._failed_migration.record_failure(last.error, planned.plan, self._following)
            return last.error
        if not planned.plan.project.id:
            self._project_id = last.project.id
            self._observer.on_start(session, last.project.id)
        self._observer.on_apply(planned, last)
        self._run_draft(
            planned,
            database_changed=not all(isinstance(change, Put | Delete) for change in planned.plan.changes),
        )
        self._report_resolved()
        return None

    def _run_draft(self, planned: PreparedPlan, *, database_changed: bool) -> None:
        """The draft tried on what is applied by now; `database_changed` says that this was changed."""
        self._draft_reached = True
        if self._draft_runner.update(
            self._session, planned, self._project_id, database_changed=database_changed
        ):
            self._observer.on_draft()

    def _require_consent(self, plan: Plan) -> None:
        """Edits were agreed to; what destroys is asked about each time."""
        if plan.to_confirm or plan.prune_count:
            self._screen.plan(plan, final=False)
        require_plan_consent(plan, yes=True, allow=self._options.deploy_options.allow, command=command_line())

    def _apply_plan(self, planned: PreparedPlan, seen: float) -> ApplyDone | ApplyFailed:
        from mosaic_deploy import deploy

        deploy_options = self._options.deploy_options
        options = deploy.ApplyOptions(
            holder=holder(),
            retry_command=command_line(),
            lock_wait=deploy_options.lock_timeout,
            force_unlock=deploy_options.force_unlock,
            processes=local_processes(),
            parallelism=deploy_options.plan_options.parallelism,
        )
        told = self._screen.edit_report(planned, seen)
        events = InterruptibleEvents(deploy.apply(self._session.api, planned, options))
        last: ApplyDone | ApplyFailed | None = None
        for event in events:
            if isinstance(event, Waiting | Noted):
                self._screen.waiting(event)
            elif isinstance(event, ChangeDone):
                told.done(event)
            elif isinstance(event, ApplyDone | ApplyFailed):
                last = event
                told.ended(event)
        if events.interrupt_pending:
            raise KeyboardInterrupt
        assert last is not None, "an apply says how it ended"
        self._following.record_apply(planned, last)
        if isinstance(last, ApplyFailed):
            if isinstance(last.error, Interrupted):
                raise KeyboardInterrupt
            self._session.complete_error(last.error)
        return last

    def _handle_failure(self, error: MosaicError, *, shown: bool = False) -> None:
        """Shown once; tried again at the next save, and by itself where that may help."""
        self._reopen = isinstance(error, Unauthorized | Unreachable)
        if isinstance(error, TRANSIENT_ERRORS):
            self._retry_at = time.monotonic() + self._retry_delay
            self._retry_delay = min(_MAX_RETRY_DELAY, 2 * self._retry_delay)
        self._report_error(error, shown=shown)

    def _report_failed_run(self, error: MosaicError, edits: Edits, seen: float) -> None:
        """`error` ended a run: it is shown, or that it still stands, and what doesn't depend on it goes on."""
        waits = self._shown_errors.blocked_edits(error, edits, self._session.manifest.root)
        drafts = self._draft_reached
        self._handle_failure(error)
        left = edits & {error_file(error)} if drafts else self._deploy_unaffected(error, edits, seen)
        if waits & left:
            self._screen.still_failing(error, error_file(error), waits & left)

    def _deploy_unaffected(self, error: MosaicError, edits: Edits, seen: float) -> Edits:
        """Static files, assets and the draft, while `error` is of migrations; returns which of `edits` wait.

        On this machine alone: elsewhere pages that need a schema that isn't there would be live for others.
        """
        if not self._session.local or not isinstance(error, MigrationError):
            return edits
        try:
            with self._session.completing_errors():
                planned = self._deploy_files(seen)
        except MosaicError as other:
            self._shown_errors.report_secondary(other)
            return edits
        if planned is None:
            return edits
        # What was told of files isn't the end of it.
        self._observer.on_error(error)
        desired = planned.desired
        return edits & {file.relative_path for file in (*desired.migrations, *desired.seeds)}

    def _deploy_files(self, seen: float) -> PreparedPlan | None:
        """One run of files alone; None where there is no project yet."""
        from mosaic_deploy.live.ledger.lease import WaitPolicy

        deploy_options, session = self._options.deploy_options, self._session
        wait_policy = WaitPolicy(deploy_options.lock_timeout, deploy_options.force_unlock, local_processes())
        planned = plan_when_lease_free(
            self._screen, session.api, self._following.plan_files, wait_policy, holder()
        )
        project = planned.plan.project.id
        if not project:
            return None
        self._project_id = project
        self._observer.on_start(session, project)
        if planned.plan.changes:
            refuse_empty_site(planned)
            self._require_consent(planned.plan)
            last = self._apply_plan(planned, seen)
            if isinstance(last, ApplyFailed):
                raise last.error
            self._observer.on_apply(planned, last)
        self._run_draft(planned, database_changed=False)
        return planned

    def _report_held(self, planned: PreparedPlan) -> None:
        if planned.postponed_migrations and planned.postponed_migrations != self._held:
            self._screen.held(planned.postponed_migrations)
        self._held = planned.postponed_migrations

    def _report_error(self, error: MosaicError, *, shown: bool = False) -> None:
        suggest_reset(self._session, self._project_id, error)
        self._shown_errors.report(error, shown=shown)
        self._observer.on_error(error)

    def _report_resolved(self) -> None:
        self._retry_delay = _MIN_RETRY_DELAY
        self._shown_errors.resolved()
        self._observer.resolved()


def _target_of(session: Session) -> tuple[object, str]:
    """Which project of which platform. The embedded one is one, whatever its port."""
    return session.target, "" if session.local else session.api.url
