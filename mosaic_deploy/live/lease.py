"""One deploy at a time: a row with holder, token and expiry, renewed while a deploy runs.

Every write to the ledger checks the token in the same statement (fencing), so a deploy that slept through its
lease can't write. A killed job's lease runs out by itself; one that its deploy no longer renews may be broken.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from mosaic_deploy.errors import LeaseHeld, LeaseLost, MosaicError, PlanStale, ResponseInvalid
from mosaic_deploy.live.client import Api
from mosaic_deploy.live.ledger_rows import keep_sums
from mosaic_deploy.model.event import Noted, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.quote import json_literal, literal

TTL = 60.0
"""Seconds a lease lives without a renewal."""
_RENEW = TTL / 3
_SILENT = _RENEW * 1.5
"""Seconds without a renewal after which a lease may be broken: its deploy has missed one at least."""
_POLL = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
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


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else's lease: who, for how many seconds more, and when it runs out as the database says it."""

    holder: str
    seconds: float
    expiry: str = ""

    @property
    def renewed(self) -> float:
        """Seconds since its holder was last heard of."""
        return max(0.0, TTL - self.seconds)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long another deploy is waited for (`seconds`), and whether its lease is broken once it is silent.

    `gone` tells of a holder that it certainly doesn't run any more: of a process on this machine.
    """

    seconds: float
    breaks: bool = False
    gone: Callable[[str], bool] = lambda _: False


def acquire(api: Api, claim: Claim, patience: Patience) -> Iterator[Waiting | Noted]:
    """Takes the lease, waiting if need be; yields while it waits, and whose lease it broke.

    A lease is broken only as it was seen: one that was renewed in between is left alone. Raises LeaseHeld, and
    PlanStale where another deploy has run since the plan was made.
    """
    began = time.monotonic()
    while held := _try(api, claim):
        gone = patience.gone(held.holder)
        if patience.breaks and (gone or held.renewed >= _SILENT):
            taken = yield from _break(api, claim, held, gone=gone)
            if taken:
                return
        waited = time.monotonic() - began
        if waited >= patience.seconds:
            raise _held(held, patience, gone=gone)
        yield Waiting(_reason(held, patience, gone=gone), waited)
        time.sleep(min(_POLL, max(0.05, patience.seconds - waited)))


def _break(api: Api, claim: Claim, held: Held, *, gone: bool) -> Generator[Noted, None, bool]:
    """Whether the lease was taken over as it was seen; said also where the plan is stale by then."""
    try:
        taken = _try(api, claim, broken=held) is None
    except PlanStale:
        yield Noted(_broken(held, gone=gone))
        raise
    if taken:
        yield Noted(_broken(held, gone=gone))
    return taken


def await_free(api: Api, project: str, patience: Patience) -> Iterator[Waiting]:
    """Returns when nobody holds the lease; yields while somebody does. Only reads. Raises LeaseHeld."""
    began = time.monotonic()
    while held := _read_held(api, project):
        gone = patience.gone(held.holder)
        waited = time.monotonic() - began
        if waited >= patience.seconds:
            raise _held(held, patience, gone=gone)
        yield Waiting(_reason(held, patience, gone=gone), waited)
        time.sleep(min(_POLL, max(0.05, patience.seconds - waited)))


def _read_held(api: Api, project: str) -> Held | None:
    rows = api.sql(
        project,
        "SELECT holder, EXTRACT(EPOCH FROM expires_at - pg_catalog.clock_timestamp())::text AS seconds "
        "FROM mosaic_deploy.lease WHERE expires_at > pg_catalog.clock_timestamp()",
    )
    return Held(str(rows[0]["holder"]), float(rows[0]["seconds"])) if rows else None


def _broken(held: Held, *, gone: bool) -> Note:
    why = "whose process is gone" if gone else f"not heard of for {held.renewed:.0f} s"
    return Note("lease_broken", f"took over the lease of {held.holder}, {why}", Severity.WARNING)


def _reason(held: Held, patience: Patience, *, gone: bool) -> str:
    if gone:
        within = f"it runs out within {TTL:.0f} s, --break-lease doesn't wait"
        return f"for the lease of {held.holder}, whose process is gone from this machine: {within}"
    if patience.breaks:
        return f"for the deploy of {held.holder}: it is alive, so its lease isn't broken"
    return f"for the deploy of {held.holder}"


def _held(held: Held, patience: Patience, *, gone: bool) -> LeaseHeld:
    alive = f"; it was renewed {held.renewed:.0f} s ago, so it isn't broken" if patience.breaks else ""
    hint = (
        "its process is gone from this machine: --break-lease takes the lease over"
        if gone
        else "wait for it, or run again with --lock-timeout 120; a killed deploy's lease runs out by itself within "
        f"{TTL:.0f} s, and --break-lease takes it over after {_SILENT:.0f} s of silence"
    )
    return LeaseHeld(
        f"another deploy is under way: {held.holder} holds the lease for {held.seconds:.0f} s more{alive}",
        hint=hint,
    )


def release(api: Api, claim: Claim, status: str, report: dict[str, object]) -> None:
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
        f"{keep_sums()} SELECT count(*) AS freed FROM freed",
    )


class Heartbeat:
    """Renews the lease from a thread while the deploy runs. `check` tells whether it is still believed held."""

    def __init__(self, api: Api, claim: Claim) -> None:
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
        """Raises LeaseLost once the lease was taken over or could not be renewed in time."""
        if self._lost or time.monotonic() - self._renewed > TTL:
            raise lease_lost()

    def _run(self) -> None:
        while not self._stop.wait(_RENEW):
            asked = time.monotonic()
            try:
                kept = self._api.sql(self._claim.project, _renewal(self._claim))
            except MosaicError:
                continue  # the expiry decides: `check` fails once the time is over
            if kept and int(kept[0].get("held", 0)):
                self._renewed = asked
            else:
                self._lost = True
                return


def lease_lost() -> LeaseLost:
    """The error of a deploy whose lease ran out or was taken over."""
    return LeaseLost(
        "this deploy's lease ran out (was the machine asleep?), so it stopped writing",
        hint="run the same command again: it plans anew from what is live",
        mutation_state="partial",
    )


def _renewal(claim: Claim) -> str:
    return (
        f"WITH kept AS (UPDATE mosaic_deploy.lease SET expires_at = {_expiry()} WHERE token = "
        f"{literal(claim.token)} RETURNING 1) SELECT count(*) AS held FROM kept"
    )


def _expiry() -> str:
    return f"pg_catalog.clock_timestamp() + interval '{TTL:.0f} seconds'"


def _try(api: Api, claim: Claim, broken: Held | None = None) -> Held | None:
    found = api.sql(claim.project, _acquisition(claim, broken))
    facts = json.loads(found[0]["answer"]) if found and isinstance(found[0].get("answer"), str) else None
    if not isinstance(facts, dict):
        raise ResponseInvalid("the SQL endpoint returned the lease in a shape that can't be read")
    if not facts["taken"]:
        other = facts["other"] or {}
        holder, expiry = str(other.get("holder", "another deploy")), str(other.get("expiry", ""))
        return Held(holder, float(other.get("seconds", 0.0)), expiry)
    if facts["stale"]:
        release(api, claim, "stale", {})
        last = facts.get("last")
        raise PlanStale(
            f"another deploy was first{f', that of {last}' if last else ''}: it has run since this plan was made, "
            "so nothing of this plan was applied",
            hint="run the command again: it plans anew, and repeats nothing that the other has done",
        )
    return None


def _acquisition(claim: Claim, broken: Held | None) -> str:
    """Takes a free, expired, own or `broken` lease; counts the deploy; in one statement that may be sent again."""
    token, deploy, holder = literal(claim.token), literal(claim.deploy_id), literal(claim.holder)
    environment = literal(claim.environment) if claim.environment else "NULL"
    begun = json_literal({"commit": claim.commit} if claim.commit else {})
    seen = ended = ""
    if broken:
        whose = f"holder = {literal(broken.holder)}"
        seen = (
            f"\n    OR (l.{whose} AND EXTRACT(EPOCH FROM l.expires_at) = {literal(broken.expiry)}::numeric)"
        )
        report = json_literal({"lease_broken_by": claim.holder})
        ended = f"""
ended AS (
  UPDATE mosaic_deploy.deploys SET status = 'interrupted',
  report = COALESCE(report, '{{}}') || {report}::jsonb,
  finished_at = pg_catalog.clock_timestamp()
  WHERE status = 'running' AND {whose} AND id <> {deploy} AND EXISTS (SELECT FROM taken)),"""
    return f"""WITH taken AS (
  INSERT INTO mosaic_deploy.lease AS l (holder, token, acquired_at, expires_at)
  VALUES ({holder}, {token}, pg_catalog.clock_timestamp(), {_expiry()})
  ON CONFLICT (one) DO UPDATE SET holder = EXCLUDED.holder, token = EXCLUDED.token,
    acquired_at = EXCLUDED.acquired_at, expires_at = EXCLUDED.expires_at
  WHERE l.expires_at <= pg_catalog.clock_timestamp() OR l.token = EXCLUDED.token{seen} RETURNING 1),{ended}
mine AS (SELECT 1 FROM mosaic_deploy.deploys WHERE id = {deploy}),
counted AS (
  UPDATE mosaic_deploy.ledger SET serial = serial + 1 WHERE serial = {claim.serial}
  AND EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM mine) RETURNING serial),
begun AS (
  INSERT INTO mosaic_deploy.deploys (id, serial, status, holder, environment, plan, report)
  SELECT {deploy}, serial, 'running', {holder}, {environment}, {literal(claim.plan)}, {begun}::jsonb FROM counted)
SELECT pg_catalog.json_build_object(
  'taken', EXISTS (SELECT FROM taken),
  'stale', NOT EXISTS (SELECT FROM counted) AND NOT EXISTS (SELECT FROM mine),
  'last', (SELECT holder FROM mosaic_deploy.deploys ORDER BY serial DESC LIMIT 1),
  'other', (SELECT pg_catalog.json_build_object('holder', holder,
    'expiry', EXTRACT(EPOCH FROM expires_at)::text, 'seconds',
    EXTRACT(EPOCH FROM expires_at - pg_catalog.clock_timestamp())) FROM mosaic_deploy.lease))::text AS answer"""
