"""One deploy at a time: a row with holder, token and expiry, renewed while a deploy runs.

Every write to the ledger checks the token in the same statement (fencing), so a deploy that slept through its
lease can't write. A killed job's lease runs out by itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_deploy.errors import LeaseHeld, LeaseLost, MosaicError, PlanStale, ResponseInvalid
from mosaic_deploy.live.client import Api
from mosaic_deploy.live.ledger import keep_sums
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.sql.quote import json_literal, literal

TTL = 60.0
"""Seconds a lease lives without a renewal."""
_RENEW = TTL / 3
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


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else's lease: who, and for how many seconds more."""

    holder: str
    seconds: float


def acquire(api: Api, claim: Claim, *, wait: float) -> Iterator[Waiting]:
    """Takes the lease, waiting at most `wait` seconds; yields while it waits.

    Raises LeaseHeld, and PlanStale where another deploy has run since the plan was made.
    """
    began = time.monotonic()
    while held := _try(api, claim):
        waited = time.monotonic() - began
        if waited >= wait:
            raise LeaseHeld(
                f"another deploy is under way: {held.holder} holds the lease for {held.seconds:.0f} s more",
                hint="wait for it, or run again with --lock-timeout 120; a killed deploy's lease runs out "
                f"by itself within {TTL:.0f} s",
            )
        yield Waiting(f"for the deploy of {held.holder}", waited)
        time.sleep(min(_POLL, max(0.05, wait - waited)))


def release(api: Api, claim: Claim, status: str, report: dict[str, object]) -> None:
    """Records how the deploy ended, keeps the objects' digests and gives the lease back, in one statement."""
    api.sql(
        claim.project,
        f"WITH ended AS (UPDATE mosaic_deploy.deploys SET status = {literal(status)}, "
        f"report = {json_literal(report)}::jsonb, finished_at = pg_catalog.clock_timestamp() "
        f"WHERE id = {literal(claim.deploy_id)} AND status = 'running'), "
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


def _try(api: Api, claim: Claim) -> Held | None:
    found = api.sql(claim.project, _acquisition(claim))
    facts = json.loads(found[0]["answer"]) if found and isinstance(found[0].get("answer"), str) else None
    if not isinstance(facts, dict):
        raise ResponseInvalid("the SQL endpoint returned the lease in a shape that can't be read")
    if not facts["taken"]:
        other = facts["other"] or {}
        return Held(str(other.get("holder", "another deploy")), float(other.get("seconds", 0.0)))
    if facts["stale"]:
        release(api, claim, "stale", {})
        raise PlanStale(
            "another deploy has run since this plan was made, so nothing was applied",
            hint="run the command again for a new plan",
        )
    return None


def _acquisition(claim: Claim) -> str:
    """Takes a free, expired or own lease; counts the deploy; all in one statement that may be sent again."""
    token, deploy, holder = literal(claim.token), literal(claim.deploy_id), literal(claim.holder)
    environment = literal(claim.environment) if claim.environment else "NULL"
    return f"""WITH taken AS (
  INSERT INTO mosaic_deploy.lease AS l (holder, token, acquired_at, expires_at)
  VALUES ({holder}, {token}, pg_catalog.clock_timestamp(), {_expiry()})
  ON CONFLICT (one) DO UPDATE SET holder = EXCLUDED.holder, token = EXCLUDED.token,
    acquired_at = EXCLUDED.acquired_at, expires_at = EXCLUDED.expires_at
  WHERE l.expires_at <= pg_catalog.clock_timestamp() OR l.token = EXCLUDED.token RETURNING 1),
mine AS (SELECT 1 FROM mosaic_deploy.deploys WHERE id = {deploy}),
counted AS (
  UPDATE mosaic_deploy.ledger SET serial = serial + 1 WHERE serial = {claim.serial}
  AND EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM mine) RETURNING serial),
begun AS (
  INSERT INTO mosaic_deploy.deploys (id, serial, status, holder, environment, plan)
  SELECT {deploy}, serial, 'running', {holder}, {environment}, {literal(claim.plan)} FROM counted)
SELECT pg_catalog.json_build_object(
  'taken', EXISTS (SELECT FROM taken),
  'stale', NOT EXISTS (SELECT FROM counted) AND NOT EXISTS (SELECT FROM mine),
  'other', (SELECT pg_catalog.json_build_object('holder', holder, 'seconds',
    EXTRACT(EPOCH FROM expires_at - pg_catalog.clock_timestamp())) FROM mosaic_deploy.lease))::text AS answer"""
