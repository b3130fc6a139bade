"""The options of an apply, and the context that each of its steps gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.gate import Consent
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.live.catalog.touched_digests import rehearsed_names
from mosaic_deploy.live.database.existing import read_existing
from mosaic_deploy.live.ledger.heartbeat import Heartbeat
from mosaic_deploy.live.ledger.lease import NO_PROCESSES, LocalProcesses, lease_lost_error
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest
from mosaic_deploy.live.ledger.proofs import Prover
from mosaic_deploy.model.approval import DESTRUCTIVE
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.effects import Effects
from mosaic_deploy.model.event import StillRunning
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.sql.execution.step import SqlSession
from mosaic_deploy.sql.guard.agreement import Agreement, Existing
from mosaic_deploy.sql.guard.rehearsed import TouchedNames

AskAboutEffects = Callable[[str, Effects], bool]
"""Called with the step's file and what it did, which was rolled back. Whether it may run again and do that, and no more."""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """Options of an apply. Waits are in seconds; for `lock_wait` and `force_unlock` see WaitPolicy.

    `holder` names who deploys, for other deploys; `retry_command` is the command that continues after a failure.
    """

    holder: str
    retry_command: str
    lock_wait: float = 60.0
    force_unlock: bool = False
    processes: LocalProcesses = NO_PROCESSES
    commit: str | None = None
    """The commit of the project's repository, recorded in the deployment history."""
    dirty: bool = False
    """Whether the files have changes that aren't in the commit."""
    consent: Consent | None = None
    """How the plan was confirmed, recorded in the deployment history; None if nobody was asked to."""
    provision_wait: float = 300.0
    parallelism: int = DEFAULT_PARALLELISM
    on_running: Callable[[StillRunning], None] | None = None
    """Called by another thread, every few seconds while SQL runs."""
    superseded: Callable[[], bool] = lambda: False
    """Whether another deploy follows at once, so that failing checks aren't waited for."""
    apply_command: str = ""
    """The command that applies after that, if it is another one, as for a saved plan."""
    ask: AskAboutEffects | None = None
    """Asks a person whether a step may do what it was measured to do beyond the plan; None if nobody can be asked."""


@dataclass(frozen=True, slots=True)
class Run:
    """A running apply, with its lease."""

    api: Api
    planned: PreparedPlan
    project: Project
    claim: LeaseRequest
    heartbeat: Heartbeat
    parallelism: int
    on_running: Callable[[StillRunning], None] | None = None
    """As in ApplyOptions."""
    superseded: Callable[[], bool] = lambda: False
    """As in ApplyOptions."""
    consent: Consent | None = None
    """As in ApplyOptions."""
    retry_command: str = ""
    """As in ApplyOptions."""
    apply_command: str = ""
    """As in ApplyOptions, or the same as `retry_command`."""
    ask: AskAboutEffects | None = None
    """As in ApplyOptions."""
    approved: dict[tuple[str, int], str] = field(default_factory=dict)
    """The effects that a person approved during the run, by the file and number of the step that may have them."""
    _existing: list[Existing] = field(default_factory=list)
    _rehearsed: list[Mapping[tuple[str, int], TouchedNames]] = field(default_factory=list)

    def existing(self) -> Existing:
        """What existed when the run began, read once before the first SQL of the run."""
        if not self._existing:
            self._existing.append(self._read_existing(again=False))
        return self._existing[-1]

    def existing_after_question(self) -> Existing:
        """The same, with what somebody else has added while a person was asked, for all later steps."""
        self._existing.append(self._read_existing(again=True))
        return self._existing[-1]

    def _read_existing(self, *, again: bool) -> Existing:
        policy, claim = self.planned.desired.manifest.policy, self.claim
        protected = policy.protected_tables if policy else ()
        steps = (step for file in self.planned.writes.values() for step in file.values())
        # A later step finds rows from before the run in partitions that were empty.
        filled = {table for step in steps for table in step.moves}
        names = claim.token, claim.deploy_id
        return read_existing(self.api, self.project.id, *names, protected, filled, again=again)

    def rehearsed(self) -> Mapping[tuple[str, int], TouchedNames]:
        """What each step of a rehearsed plan is compared with, by the change's address and the step's number.

        Its result only if the policy says so.
        """
        if not self._rehearsed:
            database = self.planned.desired.manifest.database
            single = bool(database and database.single_transaction)
            policy = self.planned.desired.manifest.policy
            names = rehearsed_names(
                self.planned.plan.rehearsal,
                single_transaction=single,
                results=bool(policy and policy.proves_schema),
            )
            self._rehearsed.append(names)
        return self._rehearsed[0]

    @property
    def allows_destroying(self) -> bool:
        """Whether everything that SQL destroys is approved, also what the plan didn't list: by the policy, or by --allow."""
        rule = (self.planned.desired.manifest.policy or PolicySpec()).destructive
        by_option = self.consent is not None and DESTRUCTIVE in self.consent.allow
        return rule == "allow" or (rule != "deny" and by_option)

    @property
    def approval_report(self) -> dict[str, object]:
        """The `approval` of the run's report with what was approved since it began; nothing if nothing was."""
        known: dict[str, Any] = dict(self.claim.approval or {})
        given = [{"value": DESTRUCTIVE, "effect": each, "by": "answer"} for each in self.approved.values()]
        return {"approval": {**known, "approved": [*known.get("approved", ()), *given]}} if given else {}

    @property
    def created(self) -> bool:
        """Whether this run created the project, so nothing live was read before."""
        return not self.planned.plan.project.id

    @property
    def prover(self) -> Prover:
        return Prover(self.api.key.reveal(), self.project.id)

    @property
    def changes(self) -> Iterable[Change]:
        return self.planned.plan.changes

    def write(self, statement: str) -> int:
        """Sends a statement that writes to the ledger and checks the lease. Returns the number of `written` rows, if it says it.

        Raises LockLost if the lease is lost.
        """
        return int(self.write_row(statement).get("written") or 0)

    def write_row(self, statement: str) -> Row:
        """The same. Returns the first row, which is empty without one."""
        self.heartbeat.check()
        rows: list[Row] = self.api.sql(self.project.id, statement)
        if rows and "held" in rows[0] and int(rows[0]["held"]) == 0:
            raise lease_lost_error()
        return rows[0] if rows else Row()


def migration_session(manifest: Manifest, token: str, deploy_id: str) -> SqlSession:
    """A session with the manifest's timeouts, whose steps aren't measured."""
    database = manifest.database
    lock = database.lock_timeout if database else None
    statement = database.statement_timeout if database else None
    return SqlSession(token, deploy_id, _timeout_text(lock), _timeout_text(statement))


def _timeout_text(seconds: float | None) -> str | None:
    """A timeout in PostgreSQL's format."""
    return None if seconds is None else f"{max(1, round(seconds * 1000))}ms"


def agreed_effects(run: Run, file: MigrationFile, number: int, address: str = "") -> Agreement:
    """What the file's step `number` may do to what existed before the run: what the plan says, and what was approved.

    `address` is the change of the plan, for what its rehearsal saw. To a protected table, a step does only what its own statements
    say.
    """
    from mosaic_deploy.sql.hazards import StepWrites, agreement

    plan = run.planned.plan
    writes = run.planned.writes.get(file.relative_path, {}).get(number, StepWrites())
    hazards = [one for one in plan.hazards if one.step == number and one.location.file == file.relative_path]
    seen = plan.rehearsal.writes if plan.rehearsal else ()
    rehearsed = (one.table for one in seen if (one.address, one.step) == (address, number))
    listed = {*writes.declared, *writes.follows, *rehearsed}
    updates = {table for table in listed if not run.existing().protects(table)}
    return agreement(writes, hazards, anything=run.allows_destroying, updates=updates)
