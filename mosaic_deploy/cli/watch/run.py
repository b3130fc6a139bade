"""One run of a watch: plan what the edits changed, ask about destructive changes, apply, and run the draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.plan_retries import plan_when_lease_free
from mosaic_deploy.cli.run_apply import DeployOptions
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.commit import read_commit, uncommitted_files
from mosaic_deploy.cli.target.identity import holder, local_processes
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import CHANGED_MEANWHILE, missing_approvals, refuse_unapproved
from mosaic_deploy.cli.terminal.interrupts import InterruptibleEvents
from mosaic_deploy.cli.watch.building import EditBuilder
from mosaic_deploy.cli.watch.drafting import DraftRunner
from mosaic_deploy.cli.watch.failed_migration import FailedMigration
from mosaic_deploy.cli.watch.failures import refuse_empty_site
from mosaic_deploy.cli.watch.live_reload import WatchObserver
from mosaic_deploy.cli.watch.question import OpenQuestion
from mosaic_deploy.diff.policy import refuse_denied
from mosaic_deploy.errors import Declined, Interrupted, MosaicError
from mosaic_deploy.model.approval import Approval
from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone, Noted, Waiting

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.deploy.planning.incremental import IncrementalPlanner
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.watch import Edits


class EditDeployer:
    """Deploys edits to the target of `session`, run after run. `planner` remembers both sides between the runs."""

    planner: IncrementalPlanner

    def __init__(
        self, screen: Screen, session: Session, observer: WatchObserver, options: DeployOptions
    ) -> None:
        self._screen = screen
        self.session = session
        self._observer = observer
        self._options = options
        self._builder = EditBuilder(screen, options.build)
        self._draft_runner = DraftRunner(screen)
        self._failed_migration = FailedMigration()
        self._postponed: tuple[str, ...] = ()
        self._question: OpenQuestion | None = None
        self._approved = ""
        """The digest that the last yes was about, until the next run."""
        self._agreed_to_other = False
        """Whether the last yes was about something that has changed since."""
        self._declined = ""
        self.project_id = ""
        """Empty until the project is known."""
        self.draft_reached = False
        """Whether the last run got as far as the draft: everything else is live then."""
        self.unanswered = False
        """Whether the last run left something out that must be approved."""

    def close(self) -> None:
        self._draft_runner.close()
        self.session.api.close()

    def use(self, session: Session, planner: IncrementalPlanner) -> None:
        """Deploys to another session's target from now on."""
        self.session, self.planner = session, planner
        self._failed_migration.clear()
        if self._question is not None:
            self._question.close()
            self._question = None

    def check_draft(self) -> bool:
        """Reports a draft that another watch has replaced; whether the platform has lost this one's draft."""
        self._draft_runner.report_replaced()
        return self._draft_runner.lost

    def record_failure(self, error: MosaicError, plan: Plan) -> None:
        """An apply of `plan` failed: a failed migration isn't tried again until something about it changes."""
        self._failed_migration.record_failure(error, plan, self.planner)

    def deploy(self, edits: Edits, seen: float) -> MosaicError | None:
        """Builds, plans and applies what `edits` changed; returns why the apply failed.

        Raises MosaicError's children before the apply and from the draft, and KeyboardInterrupt.
        """
        self.draft_reached = self.unanswered = False
        if self._builder.build(self.session.manifest):
            self.planner.forget_files()
        planned = self._make_plan(lambda: self.planner.plan(edits))
        self._set_project(planned.plan.project.id)
        self._report_postponed(planned)
        if self._question and self._question.digest != planned.plan.approval_digest:
            self._question.withdraw()
            self._question = None
        if not planned.has_work:
            self._run_draft(planned, database_changed=False)
            return None
        planned = self._with_required_rehearsal(planned)
        if missing := self._missing_approvals(planned):
            self.unanswered = True
            try:
                self._ask(planned, missing, edits)
            finally:
                self.deploy_files(seen)
            return None
        if error := self._failed_migration.repeated_error(planned):
            return error
        last = self._apply(planned, seen)
        if isinstance(last, ApplyFailed):
            self.record_failure(last.error, planned.plan)
            return last.error
        self._set_project(last.project.id)
        self._observer.on_apply(planned, last)
        files_only = all(isinstance(change, Put | Delete) for change in planned.plan.changes)
        self._run_draft(planned, database_changed=not files_only)
        return None

    def deploy_files(self, seen: float) -> PreparedPlan | None:
        """Deploys static and storage files and the draft, without the database; None if there is no project yet.

        What must be approved is left out. Raises MosaicError's children and KeyboardInterrupt.
        """
        from mosaic_deploy.deploy.planning.deferred import without_unapproved

        planned = self._make_plan(self.planner.plan_files)
        if not planned.plan.project.id:
            return None
        self._set_project(planned.plan.project.id)
        refuse_empty_site(planned)
        refuse_denied(planned.plan)
        missing = missing_approvals(planned.plan, planned.desired.manifest.policy, self._options.allow)
        planned = replace(planned, plan=without_unapproved(planned.plan, missing))
        if planned.plan.changes:
            last = self._apply(planned, seen)
            if isinstance(last, ApplyFailed):
                raise last.error
            self._observer.on_apply(planned, last)
            if self._question is not None:
                self._question.show()
        self._run_draft(planned, database_changed=False)
        return planned

    def _make_plan(self, plan: Callable[[], PreparedPlan]) -> PreparedPlan:
        from mosaic_deploy.live.ledger.lease import WaitPolicy

        wait_policy = WaitPolicy(self._options.lock_timeout, self._options.force_unlock, local_processes())
        return plan_when_lease_free(self._screen, self.session.api, plan, wait_policy, holder())

    def _with_required_rehearsal(self, planned: PreparedPlan) -> PreparedPlan:
        """Rehearsed if the policy requires that; saving would wait for it otherwise. Raises RehearsalFailed."""
        return self.session.rehearse(planned, None) if planned.plan.rehearsal_rule else planned

    def _set_project(self, project_id: str) -> None:
        if project_id:
            self.project_id = project_id
            self._observer.on_start(self.session, project_id)

    def _report_postponed(self, planned: PreparedPlan) -> None:
        if planned.postponed_migrations and planned.postponed_migrations != self._postponed:
            self._screen.postponed(planned.postponed_migrations)
        self._postponed = planned.postponed_migrations

    def answered_yes(self) -> bool:
        """Whether the open question has just been agreed to; then the next run applies what it was about.

        Both sides are read again first. Raises Declined for a no.
        """
        question = self._question
        answer = question.answer() if question else None
        if question is None or answer is None:
            return False
        self._question = None
        if not answer:
            self._declined = question.digest
            raise Declined(
                "nothing of this was changed",
                hint="other files are deployed; the question comes back when this changes again, or with a new watch",
            )
        self._approved = question.digest
        self.planner.forget()
        return True

    def _missing_approvals(self, planned: PreparedPlan) -> tuple[Approval, ...]:
        """What of the plan wasn't approved by an option or the last answer. Raises PolicyDenied, SourceRefused."""
        refuse_empty_site(planned)
        refuse_denied(planned.plan)
        approved, self._agreed_to_other = self._approved, False
        self._approved = ""
        if planned.plan.approval_digest == approved:
            return ()
        self._agreed_to_other = bool(approved)
        return missing_approvals(planned.plan, planned.desired.manifest.policy, self._options.allow)

    def _ask(self, planned: PreparedPlan, missing: Sequence[Approval], edits: Edits) -> None:
        """Opens the question, unless it is open, or was answered with no and none of its SQL files was saved.

        Edits were confirmed when the watch began; what must be approved is asked about each time. Raises an
        `unconfirmed_error` without a terminal.
        """
        refuse_unapproved(missing, self._options.allow, command_line())
        sql_files = {file.relative_path for file in (*planned.desired.migrations, *planned.desired.seeds)}
        declined = planned.plan.approval_digest == self._declined and not edits & sql_files
        if self._question is None and not declined:
            if self._agreed_to_other:
                self._screen.print_notice([CHANGED_MEANWHILE])
            self._question = OpenQuestion(self._screen, planned.plan, missing)

    def _apply(self, planned: PreparedPlan, seen: float) -> ApplyDone | ApplyFailed:
        from mosaic_deploy import deploy
        from mosaic_deploy.diff.gate import Consent

        manifest = planned.desired.manifest
        options = deploy.ApplyOptions(
            holder=holder(),
            retry_command=command_line(),
            lock_wait=self._options.lock_timeout,
            force_unlock=self._options.force_unlock,
            processes=local_processes(),
            commit=read_commit(manifest.root),
            dirty=bool(uncommitted_files(manifest)),
            consent=Consent("" if planned.plan.empty else "watch", frozenset(self._options.allow)),
            parallelism=self._options.plan_options.parallelism,
            superseded=self._options.superseded,
        )
        report = self._screen.edit_report(planned, seen)
        events = InterruptibleEvents(deploy.apply(self.session.api, planned, options))
        last: ApplyDone | ApplyFailed | None = None
        try:
            for event in events:
                if isinstance(event, Waiting | Noted):
                    self._screen.waiting(event)
                elif isinstance(event, ChangeDone):
                    report.done(event)
                elif isinstance(event, ApplyDone | ApplyFailed):
                    last = event
                    report.ended(event)
        except Interrupted as error:
            self._screen.error(error)
            raise KeyboardInterrupt from None
        if events.interrupt_pending:
            raise KeyboardInterrupt
        assert last is not None, "the last event of an apply is its result"
        self.planner.record_apply(planned, last)
        if isinstance(last, ApplyFailed):
            if isinstance(last.error, Interrupted):
                raise KeyboardInterrupt
            self.session.complete_error(last.error)
        return last

    def _run_draft(self, planned: PreparedPlan, *, database_changed: bool) -> None:
        self.draft_reached = True
        if self._draft_runner.update(
            self.session, planned, self.project_id, database_changed=database_changed
        ):
            self._observer.on_draft()
