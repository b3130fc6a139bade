"""Which installation an object store belongs to, so that a restored copy can't delete the original's objects.

A copy of the database knows everything that the original knew, so a fixed ID can't tell the two apart. Instead, the
running installation writes a new random claim every few seconds: first into its database, then into an object of the
store. A copy of the database lacks the claims made after it was copied. A process that finds a claim in the
store that isn't in its database deletes nothing: workers refuse to start, running ones only keep serving.
"""

from __future__ import annotations

import json
import logging
import secrets
import time

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.storage.object_store import Store

CLAIM_KEY = "installation.json"
RENEW_SECONDS = 10.0
# A worker that just started may be a copy that was made moments ago. It first watches for claims of the original.
SETTLE_SECONDS = 20.0
_CLAIMS_KEPT = 1000
_WARN_SECONDS = 60.0

log = logging.getLogger(__name__)


class StoreClaim:
    """This process's view of who owns the store. `installation` is the ID in the claim, for people."""

    def __init__(self, pool: Pool, store: Store, name: str, installation: str) -> None:
        self._pool = pool
        self._store = store
        self._name = name
        self._installation = installation
        self._owned_since: float | None = None
        self._warned_at = float("-inf")

    @property
    def owned(self) -> bool:
        """As of the last check."""
        return self._owned_since is not None

    async def acquire(self) -> None:
        """At the start. Raises ProcessFault if the store belongs to another installation."""
        self._owned_since = None
        async with self._pool.connection() as connection, connection.transaction():
            # Otherwise, of several that start on a new store, one could see half of what another does.
            await control_database.fetch_rows(
                connection, f"SELECT pg_advisory_xact_lock({control_database.CLAIM_LOCK})"
            )
            await self._acquire()
        self._owned_since = time.monotonic()

    async def _acquire(self) -> None:
        claim = await self._read()
        if claim is None and not await self._has_claims():
            await self._write()
        elif claim is None:
            raise ProcessFault(
                "store_not_ours",
                f"the object store {self._name} has no {CLAIM_KEY}, but this database used a store that has one",
                "check --store; " + _TAKE_OVER,
            )
        elif not await self._is_known(claim):
            raise ProcessFault(
                "store_not_ours",
                f"the object store {self._name} is used by another installation ({_described(claim)})",
                "give each installation a bucket or prefix of its own; " + _TAKE_OVER,
            )

    async def take_over(self) -> str:
        """Makes the store this installation's; returns which one used it before, or an empty string."""
        previous = await self._read()
        await self._write()
        return _described(previous) if previous else ""

    async def may_delete(self) -> bool:
        """Whether objects and databases of deleted projects may be deleted now."""
        return await self.is_settled() and not await self._is_paused()

    async def is_settled(self) -> bool:
        """Whether the store has been this installation's for SETTLE_SECONDS. Reads the claim."""
        claim = await self._read()
        if claim is None or not await self._is_known(claim):
            self._owned_since = None
            self._warn(claim)
            return False
        if self._owned_since is None:
            self._owned_since = time.monotonic()
        return time.monotonic() - self._owned_since >= SETTLE_SECONDS

    async def renew(self) -> None:
        """Writes a new claim if the last one is RENEW_SECONDS old. Only call it after `is_settled` returned True."""
        query = "SELECT max(created_at) > now() - make_interval(secs => %(age)s) AS fresh FROM store_claim"
        row = await control_database.fetch_one(self._pool, query, {"age": RENEW_SECONDS})
        if row is None or not row["fresh"]:
            await self._write()

    async def _write(self) -> None:
        """The database first: a claim that is only there does no harm."""
        token = secrets.token_hex(16)
        await control_database.fetch(
            self._pool,
            "WITH old AS (DELETE FROM store_claim WHERE token IN (SELECT token FROM store_claim"
            " ORDER BY created_at DESC OFFSET %(kept)s))"
            " INSERT INTO store_claim (token) VALUES (%(token)s)",
            {"token": token, "kept": _CLAIMS_KEPT},
        )
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        document = {"installation": self._installation, "claim": token, "written": written}
        await self._store.put(CLAIM_KEY, json.dumps(document).encode())

    async def _read(self) -> dict[str, str] | None:
        try:
            content = await self._store.read(CLAIM_KEY)
        except FileNotFoundError:
            return None
        try:
            document = json.loads(content)
            return {name: str(document[name]) for name in ("installation", "claim", "written")}
        except (ValueError, KeyError, TypeError):
            # Not written by us: the store is somebody else's.
            return {"installation": "unknown", "claim": "", "written": "unknown"}

    async def _is_known(self, claim: dict[str, str]) -> bool:
        query = "SELECT 1 FROM store_claim WHERE token = %(token)s"
        return await control_database.fetch_one(self._pool, query, {"token": claim["claim"]}) is not None

    async def _is_paused(self) -> bool:
        """For a backup: every object that the database names at its time has to be there when the store is copied."""
        query = (
            "SELECT value::timestamptz > now() AS paused FROM setting WHERE name = 'deletions_paused_until'"
        )
        row = await control_database.fetch_one(self._pool, query)
        return bool(row and row["paused"])

    async def _has_claims(self) -> bool:
        return await control_database.fetch_one(self._pool, "SELECT 1 FROM store_claim LIMIT 1") is not None

    def _warn(self, claim: dict[str, str] | None) -> None:
        if time.monotonic() - self._warned_at < _WARN_SECONDS:
            return
        self._warned_at = time.monotonic()
        owner = (
            f"was taken by another installation ({_described(claim)})" if claim else f"lost its {CLAIM_KEY}"
        )
        log.error("the object store %s %s; nothing is deleted there. %s", self._name, owner, _TAKE_OVER)


_TAKE_OVER = "to use this store on purpose, stop all others that use it and run `mosaic-deploy platform take-over --store URL`"


async def pause_deletions(pool: Pool, hours: float) -> str:
    """Workers delete no objects or databases for `hours`, whatever users delete; 0 ends that. Returns the end."""
    row = await control_database.fetch_one(
        pool,
        "INSERT INTO setting (name, value) VALUES ('deletions_paused_until',"
        " to_char(now() AT TIME ZONE 'UTC' + make_interval(secs => %(seconds)s), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))"
        " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value RETURNING value",
        {"seconds": hours * 3600},
    )
    assert row is not None
    return str(row["value"])


def _described(claim: dict[str, str]) -> str:
    return f"ID {claim['installation']}, last seen {claim['written']}"
