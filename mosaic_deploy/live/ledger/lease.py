"""The lease allows one deploy at a time: a row with holder, token and expiry, renewed while the deploy runs.

Every write to the ledger checks the token in the same statement (fencing), so a deploy whose lease expired can't
write. A killed deploy's lease expires; `--force-unlock` takes over a lease that isn't renewed; one whose process has
ended on this machine is taken over at once.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.errors import (
    LockHeld,
    LockLost,
    MosaicError,
    PlanStale,
    ResponseInvalid,
    ResponseLost,
    ServerFailed,
    SqlFailed,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.lease_sql import (
    LEASE_HOLDER_QUERY,
    LEASE_TTL,
    LeaseRequest,
    acquire_lease_sql,
    cap_expiry_sql,
    release_lease_sql,
    remove_lease_sql,
)
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION, install_sql
from mosaic_deploy.model.event import Noted, Waiting
from mosaic_deploy.model.plan import Note, Severity

RENEW_INTERVAL = LEASE_TTL / 3
_SILENT_AFTER = RENEW_INTERVAL * 1.5
"""Seconds without a renewal after which --force-unlock applies: at least one renewal was missed."""
_POLL = 1.0
_SETTLING = 3.0
"""Seconds to wait at least for a migration whose deploy has ended: PostgreSQL may just be cancelling it."""
_CLOCK_TOLERANCE = 1.0
_READ_ONLY_HINT = (
    "the database accepts no changes: it exceeds its size limit, default_transaction_read_only is on for the role or the "
    "database, or it is a standby server; change that, then run the same command again"
)


@dataclass(frozen=True, slots=True)
class HeldLease:
    """The lease of another deploy. `seconds` until it expires; `expiry` is the database's time as text.

    Without `exists` there is no lease, but a migration of a deploy that has ended is still running.
    """

    holder: str
    seconds: float
    expiry: str = ""
    process: Mapping[str, object] = field(default_factory=dict)
    exists: bool = True

    @property
    def seconds_since_renewal(self) -> float:
        return max(0.0, LEASE_TTL - self.seconds)

    @property
    def is_impossible(self) -> bool:
        """Whether no renewal can have set this expiry: the database's clock went back since."""
        return self.seconds > LEASE_TTL + _CLOCK_TOLERANCE


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
        if not held.exists:
            return False
        silent = self.holder_gone(held) or held.seconds_since_renewal >= _SILENT_AFTER
        return self.process_ended(held) or (self.force_unlock and silent)


def awake_time() -> float:
    """Seconds from a clock that doesn't stand still while the machine sleeps, as the database's clock doesn't."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        # Python's monotonic() stops during sleep on macOS; the system's CLOCK_MONOTONIC doesn't.
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


def acquire_lease(
    api: Api, claim: LeaseRequest, wait_policy: WaitPolicy
) -> Generator[Waiting | Noted, None, float]:
    """Acquires the lease. Returns the `awake_time` of the request, from which the lease is valid.

    Yields Waiting while it waits, and Noted if it takes over another's lease. A lease that is renewed in the meantime
    isn't taken over. Raises LockHeld, and PlanStale if another deploy has run since the plan was made.
    """
    began = time.monotonic()
    try:
        while True:
            requested_at = awake_time()
            held = _try_acquire(api, claim)
            if held is None:
                return requested_at
            if wait_policy.may_take_over(held) and _remove_lease(api, claim.project, held, claim.holder):
                yield Noted(_taken_over_note(held, holder_gone=wait_policy.holder_gone(held)))
                continue
            yield from _wait(api, claim.project, held, wait_policy, began)
    except SqlFailed as error:
        error.hint = _READ_ONLY_HINT if error.sqlstate == "25006" else error.hint
        raise
    except (ResponseLost, ServerFailed, ResponseInvalid, KeyboardInterrupt):
        # The lease may be acquired, or the request may still arrive. If this is lost, too, the lease expires.
        with contextlib.suppress(MosaicError):
            release_lease(api, claim, "interrupted", {})
        raise


def _wait(
    api: Api, project: str, held: HeldLease, wait_policy: WaitPolicy, began: float
) -> Iterator[Waiting]:
    """Yields Waiting and sleeps until the next attempt. Raises LockHeld if the time is over."""
    if held.is_impossible:
        api.sql(project, cap_expiry_sql())
    holder_gone = held.exists and wait_policy.holder_gone(held)
    waited = time.monotonic() - began
    patience = wait_policy.seconds if held.exists else max(wait_policy.seconds, _SETTLING)
    if waited >= patience:
        raise _lease_held_error(held, wait_policy, holder_gone=holder_gone)
    yield Waiting(_waiting_reason(held, wait_policy, holder_gone=holder_gone), waited)
    time.sleep(min(_POLL if held.exists else _POLL / 5, max(0.05, patience - waited)))


def wait_until_free(api: Api, project: str, wait_policy: WaitPolicy, by: str) -> Iterator[Waiting | Noted]:
    """Returns once the lease is free; yields Waiting until then. Raises LockHeld.

    Writes only if the holder's process has ended: then it removes the lease in the name of `by`, and yields Noted.
    """
    began = time.monotonic()
    while held := _read_held_lease(api, project):
        if wait_policy.process_ended(held) and _remove_lease(api, project, held, by):
            yield Noted(_taken_over_note(held, holder_gone=True))
        else:
            yield from _wait(api, project, held, wait_policy, began)


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
    if not held.exists:
        return "for a migration of an earlier deploy, which is still running"
    if wait_policy.may_take_over(held):
        return f"for a migration of {held.holder}, which is still running; then its lock is taken over"
    if holder_gone:
        return (
            f"for the lock of {held.holder}, whose process seems to have ended on this machine; the lock expires "
            f"within {LEASE_TTL:.0f} s, or use --force-unlock"
        )
    if wait_policy.force_unlock:
        return (
            f"for the deploy of {held.holder}; {_heartbeat_text(held)}, and its lock is taken over "
            f"after {_SILENT_AFTER:.0f} s without one"
        )
    return f"for the deploy of {held.holder}"


def _lease_held_error(held: HeldLease, wait_policy: WaitPolicy, *, holder_gone: bool) -> LockHeld:
    if not held.exists or wait_policy.may_take_over(held):
        return LockHeld(
            f"a migration of {held.holder or 'an earlier deploy'} is still running, and may still commit",
            hint="wait, or run again with a longer --lock-timeout; pg_stat_activity shows the statement",
        )
    heartbeat = f"; {_heartbeat_text(held)}, so the lock isn't taken over" if wait_policy.force_unlock else ""
    hint = (
        "its process seems to have ended on this machine; run again with --force-unlock"
        if holder_gone
        else "wait, or run again with --lock-timeout 120; a killed deploy's lock expires within "
        f"{LEASE_TTL:.0f} s, or use --force-unlock after {_SILENT_AFTER:.0f} s without a heartbeat"
    )
    return LockHeld(
        f"another deploy is running: {held.holder} holds the lock for another {min(held.seconds, LEASE_TTL):.0f} s"
        f"{heartbeat}",
        hint=hint,
    )


def _heartbeat_text(held: HeldLease) -> str:
    if held.is_impossible:
        return "the time of its last heartbeat is unknown, because the database's clock was set back"
    return f"its last heartbeat was {held.seconds_since_renewal:.0f} s ago"


def release_lease(api: Api, claim: LeaseRequest, status: str, report: Mapping[str, object]) -> None:
    """Records how the deploy ended and releases the lease, or makes sure that it isn't acquired any more.

    Raises ResponseInvalid if the response doesn't confirm it.
    """
    rows = api.sql(claim.project, release_lease_sql(claim, status, report))
    if not rows or "freed" not in rows[0]:
        raise ResponseInvalid(
            "the SQL endpoint didn't confirm that the deploy was recorded and the lock released"
        )


def lease_lost_error() -> LockLost:
    return LockLost(
        "this deploy's lock expired (was the machine asleep?), so it stopped",
        hint="run the same command again; it makes a new plan from what is live",
    )


def _try_acquire(api: Api, claim: LeaseRequest) -> HeldLease | None:
    """None if the lease is acquired, else what blocks it. Raises PlanStale."""
    facts = _request_lease(api, claim)
    if facts["stale"] and not facts["other"]:
        # Another copy of the request may have acquired it in this moment; its row is visible to a new request.
        facts = _request_lease(api, claim)
    if facts["taken"]:
        if int(facts.get("version", LEDGER_VERSION)) < LEDGER_VERSION:
            api.sql(claim.project, install_sql())
        return None
    if facts["other"]:
        return _parse_held(facts["other"])
    if facts["stale"]:
        raise PlanStale(
            f"{facts.get('last') or 'another deploy'} has deployed since this plan was made, so nothing of it was applied",
            hint="run the command again to make a new plan; it repeats nothing that is already done",
        )
    return HeldLease("", 0.0, exists=False)


def _request_lease(api: Api, claim: LeaseRequest) -> Mapping[str, Any]:
    found = api.sql(claim.project, acquire_lease_sql(claim))
    facts = json.loads(found[0]["answer"]) if found and isinstance(found[0].get("answer"), str) else None
    if not isinstance(facts, dict):
        raise ResponseInvalid("the SQL endpoint returned the deploy lock in an unexpected format")
    return facts


def _parse_held(facts: Mapping[str, Any]) -> HeldLease:
    process = facts.get("process")
    return HeldLease(
        str(facts.get("holder", "another deploy")),
        float(facts.get("seconds", 0.0)),
        str(facts.get("expiry", "")),
        process if isinstance(process, dict) else {},
    )
