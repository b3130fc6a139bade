"""One deploy at a time: a row with holder, token and expiry, renewed while a deploy runs.

Every write to the ledger checks the token in the same statement (fencing), so a deploy that slept through its
lease can't write. A killed job's lease runs out by itself; one that its deploy no longer renews may be broken; one
whose process has certainly ended is taken over at once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.errors import LockHeld, LockLost, MosaicError, PlanStale, ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.lease_sql import (
    LEASE_HOLDER_QUERY,
    LEASE_TTL,
    DeployRecord,
    acquire_lease_sql,
    remove_lease_sql,
    renew_lease_sql,
)
from mosaic_deploy.live.ledger.rows import save_digests_cte
from mosaic_deploy.model.event import Noted, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.quote import json_literal, literal

_RENEW_INTERVAL = LEASE_TTL / 3
_SILENT_AFTER = _RENEW_INTERVAL * 1.5
"""Seconds without a renewal after which a lease may be broken: its deploy has missed one at least."""
_POLL = 1.0


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Who wants the lease, for which plan. `token` fences; it is random and known to this run alone."""

    project: str
    holder: str
    token: str
    deploy_id: str
    plan: str
    serial: int
    environment: str | None = None
    commit: str | None = None
    """What of the sources was deployed, for `history`."""
    process: Mapping[str, object] = field(default_factory=dict)
    """What the process says of itself, for others on its machine; see Witness."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """Somebody else's lease: who, for how many seconds more, and when it runs out as the database says it."""

    holder: str
    seconds: float
    expiry: str = ""
    process: Mapping[str, object] = field(default_factory=dict)

    @property
    def seconds_since_renewal(self) -> float:
        """Seconds since its holder was last heard of."""
        return max(0.0, LEASE_TTL - self.seconds)


@dataclass(frozen=True, slots=True)
class LocalProcesses:
    """What this machine knows of processes. `process` is what this one writes of itself beside its lease.

    `process_ended` tells of such a writing that its process has certainly ended; `holder_gone` of a holder's name that it probably has.
    """

    process: Mapping[str, object] = field(default_factory=dict)
    process_ended: Callable[[Mapping[str, object]], bool] = lambda _: False
    holder_gone: Callable[[str], bool] = lambda _: False


NO_PROCESSES = LocalProcesses()


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How long another deploy is waited for (`seconds`), and whether its lease is broken once it is silent.

    One whose process has ended, as `processes` knows, isn't waited for.
    """

    seconds: float
    force_unlock: bool = False
    processes: LocalProcesses = NO_PROCESSES

    def process_ended(self, held: HeldLease) -> bool:
        return self.processes.process_ended(held.process)

    def holder_gone(self, held: HeldLease) -> bool:
        return self.process_ended(held) or self.processes.holder_gone(held.holder)

    def may_take_over(self, held: HeldLease) -> bool:
        """Whether the lease is to be taken over as it was seen."""
        return self.process_ended(held) or (
            self.force_unlock and (self.holder_gone(held) or held.seconds_since_renewal >= _SILENT_AFTER)
        )


def acquire_lease(api: Api, claim: LeaseRequest, wait_policy: WaitPolicy) -> Iterator[Waiting | Noted]:
    """Takes the lease, waiting if need be; yields while it waits, and whose lease it took over.

    A lease is broken only as it was seen: one that was renewed in between is left alone. Raises LockHeld, and
    PlanStale where another deploy has run since the plan was made.
    """
    began = time.monotonic()
    while held := _try_acquire(api, claim):
        holder_gone = wait_policy.holder_gone(held)
        if wait_policy.may_take_over(held):
            taken = yield from _take_over(api, claim, held, holder_gone=holder_gone)
            if taken:
                return
        waited = time.monotonic() - began
        if waited >= wait_policy.seconds:
            raise _lease_held_error(held, wait_policy, holder_gone=holder_gone)
        yield Waiting(_waiting_reason(held, wait_policy, holder_gone=holder_gone), waited)
        time.sleep(min(_POLL, max(0.05, wait_policy.seconds - waited)))


def _take_over(
    api: Api, claim: LeaseRequest, held: HeldLease, *, holder_gone: bool
) -> Generator[Noted, None, bool]:
    """Whether the lease was taken over as it was seen; said also where the plan is stale by then."""
    try:
        taken = _try_acquire(api, claim, seen_lease=held) is None
    except PlanStale:
        yield Noted(_taken_over_note(held, holder_gone=holder_gone))
        raise
    if taken:
        yield Noted(_taken_over_note(held, holder_gone=holder_gone))
    return taken


def wait_until_free(api: Api, project: str, wait_policy: WaitPolicy, by: str) -> Iterator[Waiting | Noted]:
    """Returns when nobody holds the lease; yields while somebody does. Raises LockHeld.

    Writes only where the holder's process has ended: `by` takes that lease away, and a note says so.
    """
    began = time.monotonic()
    while held := _read_held_lease(api, project):
        if wait_policy.process_ended(held) and _remove_lease(api, project, held, by):
            yield Noted(_taken_over_note(held, holder_gone=True))
            continue
        holder_gone = wait_policy.holder_gone(held)
        waited = time.monotonic() - began
        if waited >= wait_policy.seconds:
            raise _lease_held_error(held, wait_policy, holder_gone=holder_gone)
        yield Waiting(_waiting_reason(held, wait_policy, holder_gone=holder_gone), waited)
        time.sleep(min(_POLL, max(0.05, wait_policy.seconds - waited)))


def _read_held_lease(api: Api, project: str) -> HeldLease | None:
    rows = api.sql(
        project,
        f"SELECT ({LEASE_HOLDER_QUERY} WHERE l.expires_at > pg_catalog.clock_timestamp())::text AS holder",
    )
    holder_json = rows[0].get("holder") if rows else None
    return _parse_held(json.loads(holder_json)) if isinstance(holder_json, str) else None


def _remove_lease(api: Api, project: str, held: HeldLease, by: str) -> bool:
    rows = api.sql(project, remove_lease_sql(held.holder, held.expiry, by))
    return bool(rows) and int(rows[0].get("freed", 0)) > 0


def _taken_over_note(held: HeldLease, *, holder_gone: bool) -> Note:
    why = "whose process has ended" if holder_gone else f"not heard of for {held.seconds_since_renewal:.0f} s"
    return Note("lease_broken", f"took over the lease of {held.holder}, {why}", Severity.WARNING)


def _waiting_reason(held: HeldLease, wait_policy: WaitPolicy, *, holder_gone: bool) -> str:
    if holder_gone:
        within = f"it runs out within {LEASE_TTL:.0f} s, --force-unlock doesn't wait"
        return f"for the lease of {held.holder}, whose process seems to be gone from this machine: {within}"
    if wait_policy.force_unlock:
        return f"for the deploy of {held.holder}: it is alive, so its lease isn't broken"
    return f"for the deploy of {held.holder}"


def _lease_held_error(held: HeldLease, wait_policy: WaitPolicy, *, holder_gone: bool) -> LockHeld:
    alive = (
        f"; it was renewed {held.seconds_since_renewal:.0f} s ago, so it isn't broken"
        if wait_policy.force_unlock
        else ""
    )
    hint = (
        "its process seems to be gone from this machine: --force-unlock takes the lease over"
        if holder_gone
        else "wait for it, or run again with --lock-timeout 120; a killed deploy's lease runs out by itself within "
        f"{LEASE_TTL:.0f} s, and --force-unlock takes it over after {_SILENT_AFTER:.0f} s of silence"
    )
    return LockHeld(
        f"another deploy is under way: {held.holder} holds the lease for {held.seconds:.0f} s more{alive}",
        hint=hint,
    )


def release_lease(api: Api, claim: LeaseRequest, status: str, report: dict[str, object]) -> None:
    """Records how the deploy ended, keeps the objects' digests and gives the lease back, in one statement.

    It may be sent again. It counts once more: a plan that was read while this deploy wrote is stale.
    """
    api.sql(
        claim.project,
        f"WITH ended AS (UPDATE mosaic_deploy.deploys SET status = {literal(status)}, "
        f"report = COALESCE(report, '{{}}') || {json_literal(report)}::jsonb, "
        "finished_at = pg_catalog.clock_timestamp() "
        f"WHERE id = {literal(claim.deploy_id)} AND status = 'running' RETURNING 1), "
        "counted AS (UPDATE mosaic_deploy.ledger SET serial = serial + 1 WHERE EXISTS (SELECT FROM ended)), "
        f"freed AS (DELETE FROM mosaic_deploy.lease WHERE token = {literal(claim.token)} RETURNING 1), "
        f"{save_digests_cte()} SELECT count(*) AS freed FROM freed",
    )


class Heartbeat:
    """Renews the lease from a thread while the deploy runs. `check` tells whether it is still believed held."""

    def __init__(self, api: Api, claim: LeaseRequest) -> None:
        self._api = api
        self._claim = claim
        self._stop = threading.Event()
        self._renewed = time.monotonic()
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def check(self) -> None:
        """Raises LockLost once the lease was taken over or could not be renewed in time."""
        if self._lost or time.monotonic() - self._renewed > LEASE_TTL:
            raise lease_lost_error()

    def _run(self) -> None:
        while not self._stop.wait(_RENEW_INTERVAL):
            asked = time.monotonic()
            try:
                kept = self._api.sql(self._claim.project, renew_lease_sql(self._claim.token))
            except MosaicError:
                continue  # the expiry decides: `check` fails once the time is over
            if kept and int(kept[0].get("held", 0)):
                self._renewed = asked
            else:
                self._lost = True
                return


def lease_lost_error() -> LockLost:
    """The error of a deploy whose lease ran out or was taken over."""
    return LockLost(
        "this deploy's lease ran out (was the machine asleep?), so it stopped writing",
        hint="run the same command again: it plans anew from what is live",
        mutation_state="partial",
    )


def _try_acquire(api: Api, claim: LeaseRequest, seen_lease: HeldLease | None = None) -> HeldLease | None:
    found = api.sql(
        claim.project,
        acquire_lease_sql(_run(claim), (seen_lease.holder, seen_lease.expiry) if seen_lease else None),
    )
    facts = json.loads(found[0]["answer"]) if found and isinstance(found[0].get("answer"), str) else None
    if not isinstance(facts, dict):
        raise ResponseInvalid("the SQL endpoint returned the lease in a shape that can't be read")
    if not facts["taken"]:
        return _parse_held(facts["other"] or {})
    if facts["stale"]:
        release_lease(api, claim, "stale", {})
        last = facts.get("last")
        raise PlanStale(
            f"another deploy was first{f', that of {last}' if last else ''}: it has run since this plan was made, "
            "so nothing of this plan was applied",
            hint="run the command again: it plans anew, and repeats nothing that the other has done",
        )
    return None


def _run(claim: LeaseRequest) -> DeployRecord:
    report: dict[str, object] = {"commit": claim.commit} if claim.commit else {}
    if claim.process:
        report["process"] = dict(claim.process)
    return DeployRecord(
        claim.deploy_id, claim.holder, claim.token, claim.environment, claim.plan, claim.serial, report
    )


def _parse_held(facts: Mapping[str, Any]) -> HeldLease:
    process = facts.get("process")
    return HeldLease(
        str(facts.get("holder", "another deploy")),
        float(facts.get("seconds", 0.0)),
        str(facts.get("expiry", "")),
        process if isinstance(process, dict) else {},
    )
