"""Applies a plan as a stream of events. `_steps` shows the order."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from mosaic_deploy.deploy.applying.failed_apply import apply_failed
from mosaic_deploy.deploy.applying.files import (
    clean_up_ledger,
    delete_objects,
    put_static_files,
    put_storage_files,
    record_moved_seeds,
    use_real_addresses,
)
from mosaic_deploy.deploy.applying.migrations import apply_migrations
from mosaic_deploy.deploy.applying.progress import Progress, relay
from mosaic_deploy.deploy.applying.project import ensure_project
from mosaic_deploy.deploy.applying.recover import RETRY_HINT, reconcile_with_ledger
from mosaic_deploy.deploy.applying.run import ApplyOptions, Run
from mosaic_deploy.deploy.applying.schema_record import (
    begin_schema_change,
    record_schema,
    record_schema_after_failure,
)
from mosaic_deploy.deploy.applying.settings import (
    enable_extensions,
    record_history_owner,
    record_policy,
    set_auth,
)
from mosaic_deploy.deploy.applying.sql_files import run_seeds
from mosaic_deploy.deploy.applying.verify import verify
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.policy import refuse_denied
from mosaic_deploy.errors import (
    Interrupted,
    MosaicError,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import tables as ledger_tables
from mosaic_deploy.live.ledger.heartbeat import Heartbeat
from mosaic_deploy.live.ledger.lease import WaitPolicy, acquire_lease, release_lease
from mosaic_deploy.live.ledger.lease_sql import LEASE_TTL, LeaseRequest
from mosaic_deploy.model.change import ApplyMigration, Change, EnableExtension, Put, RunSeed
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyStarted,
    ChangeDone,
    ChangeFailed,
    ChangeStarted,
    Event,
)

_NO_SERIAL = -1
"""A serial that no ledger has: the plan is stale."""
_LEASE_TIMEOUT = LEASE_TTL / 2
"""Seconds to wait for a response to a request for the lease, or to release it: both take a moment."""


@dataclass(frozen=True, slots=True)
class Job:
    """The work under the lease. `name` is recorded for runs other than deploys, such as `rollback`."""

    steps: Callable[[Run], Iterator[Event]]
    name: str = ""


def apply(api: Api, planned: PreparedPlan, options: ApplyOptions) -> Generator[Event, None, None]:
    """Applies exactly `planned.plan`. Never raises a MosaicError: the last event is ApplyDone or ApplyFailed.

    Changes reported as done are recorded; running the same command again continues with the rest.
    """
    return run_job(api, planned, options, Job(_steps))


def run_job(api: Api, planned: PreparedPlan, options: ApplyOptions, job: Job) -> Generator[Event, None, None]:
    """As `apply`, with the steps of `job`."""
    began = time.monotonic()
    changes = planned.plan.changes
    deploy_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    sizes = sum(change.size for change in changes if isinstance(change, Put))
    progress = Progress(planned.plan.project)
    try:
        yield ApplyStarted(len(changes), sizes, deploy_id)
        events = _run_under_lease(api, planned, options, deploy_id, job)
        yield from relay(events, progress.record, progress.is_repeated)
    except (MosaicError, KeyboardInterrupt) as raised:
        running = progress.failing or progress.started
        error = raised if isinstance(raised, MosaicError) else _interrupted_error(running)
        if progress.in_flight and error.mutation_state == "none":
            error.mutation_state = "partial" if progress.done else "unknown"
        failed = apply_failed(error, changes, progress.done, running, options, began)
        if running is not None and progress.failing is None:
            # An interrupt here would replace the result that follows.
            with suppress(KeyboardInterrupt):
                yield ChangeFailed(running, error)
        yield failed
    else:
        traffic = api.traffic
        addresses = tuple(change.address for change in progress.done)
        seconds = time.monotonic() - began
        yield ApplyDone(progress.project, addresses, traffic.requests, traffic.bytes_sent, seconds)


def _interrupted_error(running: Change | None) -> Interrupted:
    """A statement that was sent without a response may still take effect on the server."""
    if running is None or isinstance(running, Put):
        return Interrupted("interrupted; run the same command again to continue")
    return Interrupted(
        f"interrupted: {running.address} was sent and may still take effect on the server",
        hint=RETRY_HINT,
        mutation_state="unknown",
    )


def _run_under_lease(
    api: Api, planned: PreparedPlan, options: ApplyOptions, deploy_id: str, job: Job
) -> Iterator[Event]:
    refuse_denied(planned.plan)
    project = yield from ensure_project(api, planned, options, deploy_id)
    plan = planned.plan
    if plan.serial == 0:
        api.sql(project.id, ledger_tables.install_sql())
    claim = LeaseRequest(
        project.id,
        options.holder,
        secrets.token_hex(16),
        deploy_id,
        f"{job.name}:{plan.fingerprint}" if job.name else plan.fingerprint,
        # A plan that was read during another deploy is stale, however that deploy ended.
        _NO_SERIAL if planned.read_during_deploy else plan.serial,
        plan.environment,
        options.commit,
        options.dirty,
        options.processes.process,
        {} if job.name else planned.settings_at_start,
        options.consent.record(plan, planned.desired.manifest.policy) if options.consent else None,
    )
    wait_policy = WaitPolicy(options.lock_wait, options.force_unlock, options.processes)
    acquired_at = yield from acquire_lease(api.with_timeout(_LEASE_TIMEOUT), claim, wait_policy)
    api.rate_limiter.set_limit(options.parallelism)
    with Heartbeat(api, claim, acquired_at) as heartbeat, _fenced(api, heartbeat):
        chosen = (
            options.parallelism,
            options.on_running,
            options.superseded,
            options.consent,
            options.retry_command,
            options.apply_command or options.retry_command,
            options.ask,
        )
        yield from _run_and_record(Run(api, planned, project, claim, heartbeat, *chosen), job)


@contextmanager
def _fenced(api: Api, heartbeat: Heartbeat) -> Iterator[None]:
    """Until it ends, no change is sent to the platform without the lease, also not when it is sent again."""
    api.before_change = heartbeat.check
    try:
        yield
    finally:
        api.before_change = lambda: None


def _run_and_record(run: Run, job: Job) -> Iterator[Event]:
    """Runs the steps; then records the result and releases the lease, however they end."""
    done: list[Change] = []
    sql: dict[str, object] = {}
    running: Change | None = None
    status = "interrupted"

    def record(event: Event) -> None:
        nonlocal running
        if isinstance(event, ChangeStarted):
            running = event.change
        elif isinstance(event, ChangeDone):
            done.append(event.change)
            if event.steps:
                sql[event.change.address] = _sql_report(event)

    try:
        yield from relay(job.steps(run), record)
        status = job.name or ("partial" if run.planned.plan.partial else "done")
    except (MosaicError, KeyboardInterrupt) as error:
        yield from relay(
            reconcile_with_ledger(run, tuple(change.address for change in done), running, error), record
        )
        if isinstance(error, KeyboardInterrupt):
            raise
        record_schema_after_failure(run, error)
        status = "failed"
        _release(run, status, {**_done_report(done), "sql": sql, "error": _error_report(error)})
        raise
    finally:
        if status != "failed":
            _release(run, status, {**_done_report(done), "sql": sql})


def _done_report(done: Sequence[Change]) -> dict[str, object]:
    """The addresses, and their counts by kind and action: `{"static": {"add": 2, "destroy": 6}}`."""
    counts: dict[str, Counter[str]] = {}
    for change in done:
        counts.setdefault(change.address.partition(":")[0], Counter())[str(change.action)] += 1
    return {"done": [change.address for change in done], "counts": counts}


_MAX_NOTICES = 20
_MAX_NOTICE_LENGTH = 500


def _sql_report(event: ChangeDone) -> dict[str, object]:
    """What a migration or seed did, as recorded in the deployment history: at most 20 notices, each cut to 500 characters."""
    rows: Counter[str] = Counter()
    tables: dict[str, Counter[str]] = {}
    for step in event.steps:
        rows.update(step.rows)
        for table in step.tables:
            left = "moved" if table.rows_moved else "deleted"
            numbers = {"inserted": table.inserted, "updated": table.updated, left: table.deleted}
            tables.setdefault(table.table, Counter()).update(numbers)
    notices = [
        f"{one.severity}: {one.message}"[:_MAX_NOTICE_LENGTH] for step in event.steps for one in step.notices
    ]
    return {
        "seconds": round(event.seconds, 3),
        "steps": len(event.steps),
        "rows": dict(rows),
        "tables": {name: dict(+numbers) for name, numbers in tables.items()},
        "notices": notices[:_MAX_NOTICES],
        "notices_omitted": max(0, len(notices) - _MAX_NOTICES),
    }


def _error_report(error: MosaicError) -> dict[str, str]:
    """An error as recorded in the deployment history."""
    where = {"location": str(error.location)} if error.location else {}
    return {"code": error.code, "message": error.message, **where}


def _steps(run: Run) -> Iterator[Event]:
    begin_schema_change(run, EnableExtension)
    yield from enable_extensions(run)
    yield from put_storage_files(run)
    run = yield from use_real_addresses(run)
    record_moved_seeds(run)
    record_history_owner(run)
    begin_schema_change(run, ApplyMigration, RunSeed)
    yield from apply_migrations(run)
    yield from run_seeds(run)
    yield from record_schema(run)
    yield from put_static_files(run)
    yield from set_auth(run)
    yield from delete_objects(run)
    clean_up_ledger(run)
    yield from record_policy(run)
    yield from verify(run)


def _release(run: Run, status: str, report: dict[str, object]) -> None:
    """Best effort after a failure: a lease that isn't released expires."""
    try:
        full = {**report, **run.approval_report}
        release_lease(run.api.with_timeout(_LEASE_TIMEOUT), run.claim, status, full)
    except MosaicError as error:
        if status in ("failed", "interrupted"):
            return
        error.hint = (
            "everything is deployed; only the result couldn't be recorded, so the history may say `interrupted`. "
            "Run the same command again to record it"
        )
        raise
