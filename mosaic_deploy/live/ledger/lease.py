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

from mosaic_deploy.errors import LeaseHeld, LeaseLost, MosaicError, PlanStale, ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.lease_sql import HOLDER, TTL, Run, acquisition, removal, renewal
from mosaic_deploy.live.ledger.rows import keep_sums
from mosaic_deploy.model.event import Noted, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.quote import json_literal, literal

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
    process: Mapping[str, object] = field(default_factory=dict)
    """What the process says of itself, for others on its machine; see Witness."""


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else's lease: who, for how many seconds more, and when it runs out as the database says it."""

    holder: str
    seconds: float
    expiry: str = ""
    process: Mapping[str, object] = field(default_factory=dict)

    @property
    def renewed(self) -> float:
        """Seconds since its holder was last heard of."""
        return max(0.0, TTL - self.seconds)


@dataclass(frozen=True, slots=True)
class Witness:
    """What this machine knows of processes. `process` is what this one writes of itself beside its lease.

    `ended` tells of such a writing that its process has certainly ended; `gone` of a holder's name that it probably has.
    """

    process: Mapping[str, object] = field(default_factory=dict)
    ended: Callable[[Mapping[str, object]], bool] = lambda _: False
    gone: Callable[[str], bool] = lambda _: False


NOBODY = Witness()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long another deploy is waited for (`seconds`), and whether its lease is broken once it is silent.

    One whose process has ended, as `witness` knows, isn't waited for.
    """

    seconds: float
    breaks: bool = False
    witness: Witness = NOBODY

    def ended(self, held: Held) -> bool:
        return self.witness.ended(held.process)

    def gone(self, held: Held) -> bool:
        return self.ended(held) or self.witness.gone(held.holder)

    def takes(self, held: Held) -> bool:
        """Whether the lease is to be taken over as it was seen."""
        return self.ended(held) or (self.breaks and (self.gone(held) or held.renewed >= _SILENT))


def acquire(api: Api, claim: Claim, patience: Patience) -> Iterator[Waiting | Noted]:
    """Takes the lease, waiting if need be; yields while it waits, and whose lease it took over.

    A lease is broken only as it was seen: one that was renewed in between is left alone. Raises LeaseHeld, and
    PlanStale where another deploy has run since the plan was made.
    """
    began = time.monotonic()
    while held := _try(api, claim):
        gone = patience.gone(held)
        if patience.takes(held):
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


def await_free(api: Api, project: str, patience: Patience, by: str) -> Iterator[Waiting | Noted]:
    """Returns when nobody holds the lease; yields while somebody does. Raises LeaseHeld.

    Writes only where the holder's process has ended: `by` takes that lease away, and a note says so.
    """
    began = time.monotonic()
    while held := _read_held(api, project):
        if patience.ended(held) and _remove(api, project, held, by):
            yield Noted(_broken(held, gone=True))
            continue
        gone = patience.gone(held)
        waited = time.monotonic() - began
        if waited >= patience.seconds:
            raise _held(held, patience, gone=gone)
        yield Waiting(_reason(held, patience, gone=gone), waited)
        time.sleep(min(_POLL, max(0.05, patience.seconds - waited)))


def _read_held(api: Api, project: str) -> Held | None:
    rows = api.sql(
        project, f"SELECT ({HOLDER} WHERE l.expires_at > pg_catalog.clock_timestamp())::text AS holder"
    )
    told = rows[0].get("holder") if rows else None
    return _seen(json.loads(told)) if isinstance(told, str) else None


def _remove(api: Api, project: str, held: Held, by: str) -> bool:
    rows = api.sql(project, removal(held.holder, held.expiry, by))
    return bool(rows) and int(rows[0].get("freed", 0)) > 0


def _broken(held: Held, *, gone: bool) -> Note:
    why = "whose process has ended" if gone else f"not heard of for {held.renewed:.0f} s"
    return Note("lease_broken", f"took over the lease of {held.holder}, {why}", Severity.WARNING)


def _reason(held: Held, patience: Patience, *, gone: bool) -> str:
    if gone:
        within = f"it runs out within {TTL:.0f} s, --break-lease doesn't wait"
        return f"for the lease of {held.holder}, whose process seems to be gone from this machine: {within}"
    if patience.breaks:
        return f"for the deploy of {held.holder}: it is alive, so its lease isn't broken"
    return f"for the deploy of {held.holder}"


def _held(held: Held, patience: Patience, *, gone: bool) -> LeaseHeld:
    alive = f"; it was renewed {held.renewed:.0f} s ago, so it isn't broken" if patience.breaks else ""
    hint = (
        "its process seems to be gone from this machine: --break-lease takes the lease over"
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
                kept = self._api.sql(self._claim.project, renewal(self._claim.token))
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


def _try(api: Api, claim: Claim, broken: Held | None = None) -> Held | None:
    found = api.sql(
        claim.project, acquisition(_run(claim), (broken.holder, broken.expiry) if broken else None)
    )
    facts = json.loads(found[0]["answer"]) if found and isinstance(found[0].get("answer"), str) else None
    if not isinstance(facts, dict):
        raise ResponseInvalid("the SQL endpoint returned the lease in a shape that can't be read")
    if not facts["taken"]:
        return _seen(facts["other"] or {})
    if facts["stale"]:
        release(api, claim, "stale", {})
        last = facts.get("last")
        raise PlanStale(
            f"another deploy was first{f', that of {last}' if last else ''}: it has run since this plan was made, "
            "so nothing of this plan was applied",
            hint="run the command again: it plans anew, and repeats nothing that the other has done",
        )
    return None


def _run(claim: Claim) -> Run:
    report: dict[str, object] = {"commit": claim.commit} if claim.commit else {}
    if claim.process:
        report["process"] = dict(claim.process)
    return Run(
        claim.deploy_id, claim.holder, claim.token, claim.environment, claim.plan, claim.serial, report
    )


def _seen(facts: Mapping[str, Any]) -> Held:
    process = facts.get("process")
    return Held(
        str(facts.get("holder", "another deploy")),
        float(facts.get("seconds", 0.0)),
        str(facts.get("expiry", "")),
        process if isinstance(process, dict) else {},
    )
