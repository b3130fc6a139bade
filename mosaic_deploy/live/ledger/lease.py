"""The lease allows one deploy at a time: a row with holder, token and expiry, renewed while the deploy runs.

Every write to the ledger checks the token in the same statement (fencing), so a deploy whose lease expired can't
write. A killed deploy's lease expires; `--force-unlock` takes over a lease that isn't renewed; one whose process has
ended on this machine is taken over at once.
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
    LeaseRequest,
    acquire_lease_sql,
    remove_lease_sql,
    renew_lease_sql,
)
from mosaic_deploy.live.ledger.rows import save_digests_cte
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION, install_sql
from mosaic_deploy.model.event import Noted, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.quote import json_literal, literal

_RENEW_INTERVAL = LEASE_TTL / 3
_SILENT_AFTER = _RENEW_INTERVAL * 1.5
"""Seconds without a renewal after which --force-unlock applies: at least one renewal was missed."""
_POLL = 1.0


@dataclass(frozen=True, slots=True)
class HeldLease:
    """The lease of another deploy. `seconds` until it expires; `expiry` is the database's time as text."""

    holder: str
    seconds: float
    expiry: str = ""
    process: Mapping[str, object] = field(default_factory=dict)

    @property
    def seconds_since_renewal(self) -> float:
        return max(0.0, LEASE_TTL - self.seconds)


@dataclass(frozen=True, slots=True)
class LocalProcesses:
    """What this machine knows about processes. `process` identifies this one.

    `process_ended(process)`: that process has certainly ended. `holder_gone(name)`: that holder's process probably has.
    """

    process: Mapping[str, object] = field(default_factory=dict)
    process_ended: Callable[[Mapping[str, object]], bool] = lambda _: False
    holder_gone: Callable[[str], bool] = lambda _: False


NO_PROCESSES = LocalProcesses()


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How many `seconds` to wait for another deploy, and whether to take over its lease without a heartbeat.

    The lease of a process that has ended, by `processes`, is taken over at once.
    """

    seconds: float
    force_unlock: bool = False
    processes: LocalProcesses = NO_PROCESSES

    def process_ended(self, held: HeldLease) -> bool:
        return self.processes.process_ended(held.process)

    def holder_gone(self, held: HeldLease) -> bool:
        return self.process_ended(held) or self.processes.holder_gone(held.holder)

    def may_take_over(self, held: HeldLease) -> bool:
        return self.process_ended(held) or (
            self.force_unlock and (self.holder_gone(held) or held.seconds_since_renewal >= _SILENT_AFTER)
        )


def acquire_lease(api: Api, claim: LeaseRequest, wait_policy: WaitPolicy) -> Iterator[Waiting | Noted]:
    """Acquires the lease. Yields Waiting while it waits, and Noted if it takes over another's lease.

    A lease that is renewed in the meantime isn't taken over. Raises LockHeld, and PlanStale if another deploy has
    run since the plan was made.
    """
    began = time.monotonic()
    while held := _try_acquire(api, claim):
        if wait_policy.may_take_over(held):
            holder_gone = wait_policy.holder_gone(held)
            taken = yield from _take_over(api, claim, held, holder_gone=holder_gone)
            if taken:
                return
        yield from _wait(held, wait_policy, began)


def _wait(held: HeldLease, wait_policy: WaitPolicy, began: float) -> Iterator[Waiting]:
    """Yields Waiting and sleeps until the next attempt. Raises LockHeld if the time is over."""
    holder_gone = wait_policy.holder_gone(held)
    waited = time.monotonic() - began
    if waited >= wait_policy.seconds:
        raise _lease_held_error(held, wait_policy, holder_gone=holder_gone)
    yield Waiting(_waiting_reason(held, wait_policy, holder_gone=holder_gone), waited)
    time.sleep(min(_POLL, max(0.05, wait_policy.seconds - waited)))


def _take_over(
    api: Api, claim: LeaseRequest, held: HeldLease, *, holder_gone: bool
) -> Generator[Noted, None, bool]:
    """Whether the lease was taken over. The note is yielded also if the plan turns out to be stale."""
    try:
        taken = _try_acquire(api, claim, seen_lease=held) is None
    except PlanStale:
        yield Noted(_taken_over_note(held, holder_gone=holder_gone))
        raise
    if taken:
        yield Noted(_taken_over_note(held, holder_gone=holder_gone))
    return taken


def wait_until_free(api: Api, project: str, wait_policy: WaitPolicy, by: str) -> Iterator[Waiting | Noted]:
    """Returns once the lease is free; yields Waiting until then. Raises LockHeld.

    Writes only if the holder's process has ended: then it removes the lease in the name of `by`, and yields Noted.
    """
    began = time.monotonic()
    while held := _read_held_lease(api, project):
        if wait_policy.process_ended(held) and _remove_lease(api, project, held, by):
            yield Noted(_taken_over_note(held, holder_gone=True))
        else:
            yield from _wait(held, wait_policy, began)


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
    why = "its process has ended" if holder_gone else f"no heartbeat for {held.seconds_since_renewal:.0f} s"
    return Note("lock_taken_over", f"took over the lock of {held.holder}: {why}", Severity.WARNING)


def _waiting_reason(held: HeldLease, wait_policy: WaitPolicy, *, holder_gone: bool) -> str:
    if holder_gone:
        return (
            f"for the lock of {held.holder}, whose process seems to have ended on this machine; the lock expires "
            f"within {LEASE_TTL:.0f} s, or use --force-unlock"
        )
    if wait_policy.force_unlock:
        return f"for the deploy of {held.holder}; it is still running, so its lock isn't taken over"
    return f"for the deploy of {held.holder}"


def _lease_held_error(held: HeldLease, wait_policy: WaitPolicy, *, holder_gone: bool) -> LockHeld:
    alive = (
        f"; its last heartbeat was {held.seconds_since_renewal:.0f} s ago, so the lock isn't taken over"
        if wait_policy.force_unlock
        else ""
    )
    hint = (
        "its process seems to have ended on this machine; run again with --force-unlock"
        if holder_gone
        else "wait, or run again with --lock-timeout 120; a killed deploy's lock expires within "
        f"{LEASE_TTL:.0f} s, or use --force-unlock after {_SILENT_AFTER:.0f} s without a heartbeat"
    )
    return LockHeld(
        f"another deploy is running: {held.holder} holds the lock for another {held.seconds:.0f} s{alive}",
        hint=hint,
    )


def release_lease(api: Api, claim: LeaseRequest, status: str, report: dict[str, object]) -> None:
    """Records how the deploy ended, saves the objects' digests and releases the lease, in one statement.

    It may be sent twice. It increments the serial again, so a plan that was read during this deploy is stale.
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
    """Renews the lease from a thread while the deploy runs."""

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
        """Raises LockLost if the lease was taken over, or wasn't renewed in time."""
        if self._lost or time.monotonic() - self._renewed > LEASE_TTL:
            raise lease_lost_error()

    def _run(self) -> None:
        while not self._stop.wait(_RENEW_INTERVAL):
            sent_at = time.monotonic()
            try:
                kept = self._api.sql(self._claim.project, renew_lease_sql(self._claim.token))
            except MosaicError:
                continue  # `check` fails once the lease has expired
            if kept and int(kept[0].get("held", 0)):
                self._renewed = sent_at
            else:
                self._lost = True
                return


def lease_lost_error() -> LockLost:
    return LockLost(
        "this deploy's lock expired (was the machine asleep?), so it stopped",
        hint="run the same command again; it makes a new plan from what is live",
        mutation_state="partial",
    )


def _try_acquire(api: Api, claim: LeaseRequest, seen_lease: HeldLease | None = None) -> HeldLease | None:
    found = api.sql(
        claim.project,
        acquire_lease_sql(claim, (seen_lease.holder, seen_lease.expiry) if seen_lease else None),
    )
    facts = json.loads(found[0]["answer"]) if found and isinstance(found[0].get("answer"), str) else None
    if not isinstance(facts, dict):
        raise ResponseInvalid("the SQL endpoint returned the deploy lock in an unexpected format")
    if not facts["taken"]:
        return _parse_held(facts["other"] or {})
    if facts["stale"]:
        release_lease(api, claim, "stale", {})
        raise PlanStale(
            f"{facts.get('last') or 'another deploy'} has deployed since this plan was made, so nothing of it was applied",
            hint="run the command again to make a new plan; it repeats nothing that is already done",
        )
    if int(facts.get("version", LEDGER_VERSION)) < LEDGER_VERSION:
        api.sql(claim.project, install_sql())
    return None


def _parse_held(facts: Mapping[str, Any]) -> HeldLease:
    process = facts.get("process")
    return HeldLease(
        str(facts.get("holder", "another deploy")),
        float(facts.get("seconds", 0.0)),
        str(facts.get("expiry", "")),
        process if isinstance(process, dict) else {},
    )
