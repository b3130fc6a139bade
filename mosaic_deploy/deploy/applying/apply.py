"""From a plan to a live project, as a stream of events. Read `_steps` top to bottom: it is the order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mosaic_deploy.deploy.applying.files import delete_objects, put_assets, put_static_files, tidy
from mosaic_deploy.deploy.applying.migrations import apply_migrations
from mosaic_deploy.deploy.applying.recover import GO_ON, settled
from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.applying.settings import enable_extensions, set_auth
from mosaic_deploy.deploy.applying.sql_files import run_seeds
from mosaic_deploy.deploy.applying.verify import verify
from mosaic_deploy.deploy.planning.planned import Planned
from mosaic_deploy.diff.policy import refuse_denied
from mosaic_deploy.errors import Interrupted, LeaseHeld, MosaicError, NextAction, PlanStale, ProjectExists
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import await_running, create
from mosaic_deploy.live.api.rate_limit import PARALLELISM
from mosaic_deploy.live.ledger import tables as ledger_tables
from mosaic_deploy.live.ledger.lease import NOBODY, Claim, Heartbeat, Patience, Witness, acquire, release
from mosaic_deploy.model.change import Change, CreateProject, Put
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyFailed,
    ApplyStarted,
    ChangeDone,
    ChangeFailed,
    ChangeStarted,
    Event,
    ProjectReady,
    Waiting,
)
from mosaic_deploy.model.snapshot import Project

_NO_SERIAL = -1
"""A count of deploys that no ledger has: the lease is given back at once, and the plan is stale."""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """`holder` names who deploys, for others to read; waits are seconds; `again` is the command that goes on.

    For `break_lease` see Patience.
    """

    holder: str
    again: str
    lease_wait: float = 60.0
    break_lease: bool = False
    witness: Witness = NOBODY
    commit: str | None = None
    """The sources' commit, kept in the record of the deploy."""
    provision_wait: float = 300.0
    parallelism: int = PARALLELISM


@dataclass(frozen=True, slots=True)
class Work:
    """What is done under the lease. `name` stands in the record of a run that is no deploy (`rollback`)."""

    steps: Callable[[Run], Iterator[Event]]
    name: str = ""


def apply(api: Api, planned: Planned, options: ApplyOptions) -> Generator[Event, None, None]:
    """Applies exactly `planned.plan`. Never raises a MosaicError: the last event is ApplyDone or ApplyFailed.

    Whatever is reported done is done and recorded; running the same command again goes on with the rest.
    """
    return carry_out(api, planned, options, Work(_steps))


def carry_out(api: Api, planned: Planned, options: ApplyOptions, work: Work) -> Generator[Event, None, None]:
    """As `apply`, with other steps: under the lease, recorded, and failures told as a value."""
    began = time.monotonic()
    changes = planned.plan.changes
    deploy_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    sizes = sum(change.size for change in changes if isinstance(change, Put))
    done: list[Change] = []
    started: Change | None = None
    failing: Change | None = None
    """Uploads run side by side: others may begin and end after the one that failed."""
    project = planned.plan.project
    try:
        yield ApplyStarted(len(changes), sizes, deploy_id)
        for event in _project_and_lease(api, planned, options, deploy_id, work):
            if isinstance(event, ChangeStarted):
                started = event.change
            elif isinstance(event, ChangeFailed):
                failing = failing or event.change
            elif isinstance(event, ChangeDone):
                done.append(event.change)
                started = None if started == event.change else started
            elif isinstance(event, ProjectReady):
                project = event.project
            yield event
    except MosaicError as error:
        yield _failed(error, changes, done, failing or started, options, began)
    except KeyboardInterrupt:
        yield _failed(_interrupted(failing or started), changes, done, failing or started, options, began)
    else:
        traffic = api.traffic
        addresses = tuple(change.address for change in done)
        seconds = time.monotonic() - began
        yield ApplyDone(project, addresses, traffic.requests, traffic.bytes_sent, seconds)


def _interrupted(under_way: Change | None) -> Interrupted:
    """What was sent and not answered may still take effect on the server; nobody claims otherwise."""
    if under_way is None or isinstance(under_way, Put):
        return Interrupted("interrupted: what was under way was finished or left for the next run")
    return Interrupted(
        f"interrupted: {under_way.address} was sent and may still take effect on the server",
        hint=GO_ON,
        mutation_state="unknown",
    )


def _project_and_lease(
    api: Api, planned: Planned, options: ApplyOptions, deploy_id: str, work: Work
) -> Iterator[Event]:
    refuse_denied(planned.plan)
    project = yield from _project(api, planned, options)
    plan = planned.plan
    if plan.serial == 0:
        api.sql(project.id, ledger_tables.install())
    claim = Claim(
        project.id,
        options.holder,
        secrets.token_hex(16),
        deploy_id,
        f"{work.name}:{plan.fingerprint}" if work.name else plan.fingerprint,
        # What was read while another deploy wrote is nothing to build on, however it ended.
        _NO_SERIAL if planned.unsettled else plan.serial,
        plan.environment,
        options.commit,
        options.witness.process,
    )
    yield from acquire(api, claim, Patience(options.lease_wait, options.break_lease, options.witness))
    api.pace.allow(options.parallelism)
    with Heartbeat(api, claim) as heartbeat:
        yield from _recorded(Run(api, planned, project, claim, heartbeat, options.parallelism), work)


def _project(api: Api, planned: Planned, options: ApplyOptions) -> Generator[Event, None, Project]:
    project = planned.plan.project
    creation = next((change for change in planned.plan.changes if isinstance(change, CreateProject)), None)
    began = time.monotonic()
    if creation:
        yield ChangeStarted(creation)
        project = _created(api, creation.name)
    for event in await_running(api, project, timeout=options.provision_wait):
        if isinstance(event, Waiting):
            yield event
        else:
            project = event
    if creation:
        yield ChangeDone(creation, time.monotonic() - began)
    yield ProjectReady(project, created=creation is not None)
    return project


def _created(api: Api, name: str) -> Project:
    """Raises PlanStale where the project of this name, which wasn't there when the plan was made, is there by now."""
    try:
        return create(api, name)
    except ProjectExists as error:
        raise PlanStale(
            f"another deploy was first: {error.message}",
            hint="run the command again: it plans for that one",
        ) from error


def _recorded(run: Run, work: Work) -> Iterator[Event]:
    """The steps, with the deploy's end written to the ledger and the lease given back however they end."""
    done: list[str] = []
    under_way: Change | None = None
    status = "interrupted"
    try:
        for event in work.steps(run):
            if isinstance(event, ChangeStarted):
                under_way = event.change
            elif isinstance(event, ChangeDone):
                done.append(event.change.address)
            yield event
        status = work.name or ("partial" if run.planned.plan.partial else "done")
    except (MosaicError, KeyboardInterrupt) as error:
        for late in settled(run, tuple(done), under_way, error):
            if isinstance(late, ChangeDone):
                done.append(late.change.address)
            yield late
        if isinstance(error, KeyboardInterrupt):
            raise
        status = "failed"
        _release(run, status, {"done": done, "error": _reported(error)})
        raise
    finally:
        if status != "failed":
            _release(run, status, {"done": done})


def _reported(error: MosaicError) -> dict[str, str]:
    """An error as the ledger keeps it."""
    where = {"location": str(error.location)} if error.location else {}
    return {"code": error.code, "message": error.message, **where}


def _steps(run: Run) -> Iterator[Event]:
    yield from enable_extensions(run)
    yield from put_assets(run)
    yield from apply_migrations(run)
    yield from run_seeds(run)
    yield from put_static_files(run)
    yield from set_auth(run)
    yield from delete_objects(run)
    tidy(run)
    yield from verify(run)


def _release(run: Run, status: str, report: dict[str, object]) -> None:
    """Best effort: a lease that can't be given back runs out by itself, and the outcome isn't changed by it."""
    try:
        release(run.api, run.claim, status, report)
    except MosaicError:
        if status not in ("failed", "interrupted"):
            raise


def _failed(
    error: MosaicError,
    changes: Sequence[Change],
    done: Sequence[Change],
    failing: Change | None,
    options: ApplyOptions,
    began: float,
) -> ApplyFailed:
    finished = {change.address for change in done}
    failed = failing.address if failing else None
    remaining = tuple(c.address for c in changes if c.address not in finished and c.address != failed)
    if done and error.mutation_state == "none":
        error.mutation_state = "partial" if remaining or failed else "committed"
    if not error.next_actions:
        error.next_actions = _ways_on(error, options)
    return ApplyFailed(error, tuple(c.address for c in done), failed, remaining, time.monotonic() - began)


def _ways_on(error: MosaicError, options: ApplyOptions) -> tuple[NextAction, ...]:
    if isinstance(error, PlanStale):
        return (NextAction("make a new plan", options.again),)
    if isinstance(error, LeaseHeld) and not options.break_lease:
        broken = NextAction(
            "if that deploy is dead", with_options(options.again, "--break-lease"), needs_person=True
        )
        return (NextAction("go on when it has ended", options.again), broken)
    return (NextAction("go on from here", options.again),)
