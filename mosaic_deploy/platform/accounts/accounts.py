"""Accounts and their API keys. Keys are random, so a plain SHA-256 is enough to store them."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.rows import DictRow

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection, Pool

KEY_LIFETIME = timedelta(days=30)
KEY_GRACE_PERIOD = timedelta(days=7)
"""How long a key works after it was replaced, or after KEY_LIFETIME: time to update programs that use it."""
LOCAL_ACCOUNT_NAME = "local"
"""The embedded platform's only account."""

_CACHE_SECONDS = 5.0
_CACHE_LIMIT = 1000


def new_api_key() -> str:
    return "mk_" + secrets.token_urlsafe(32)


def key_hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True)
class AuthenticatedAccount:
    """The account of an API key. `key_expires_at` is set if the key was replaced or is older than KEY_LIFETIME."""

    account_id: int
    key_expires_at: datetime | None = None


class ApiKeyAuthenticator:
    """Finds the account of an API key. Keys are looked up by hash, so response times reveal nothing about other keys.

    Results are cached for 5 seconds; after that, a key that another process revoked is refused.
    """

    def __init__(self) -> None:
        self._cache: dict[bytes, tuple[AuthenticatedAccount, float]] = {}

    async def authenticate(
        self, pool: Pool, given: str | None, *, local: bool = True
    ) -> AuthenticatedAccount:
        """The account of the key `given`. Raises Fault 401, with a hint where to get the current key."""
        if not given:
            raise Fault(401, "api_key_missing", "the API key is missing: send it as X-API-Key")
        return await self.find_by_hash(pool, key_hash(given), local=local)

    async def find_by_hash(self, pool: Pool, digest: bytes, *, local: bool = True) -> AuthenticatedAccount:
        """The account of the key with this `key_hash`. Raises Fault as `authenticate`."""
        found, until = self._cache.get(digest, (None, 0.0))
        if found is None or until < time.monotonic():
            self._cache.pop(digest, None)
            found = await _look_up_key(pool, digest, local)
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            self._cache[digest] = (found, time.monotonic() + _CACHE_SECONDS)
        if found.key_expires_at is not None and found.key_expires_at <= datetime.now(UTC):
            self._cache.pop(digest, None)
            found = await _look_up_key(pool, digest, local)
        return found

    def clear_cache(self) -> None:
        """Call it after a key changed."""
        self._cache.clear()


async def ensure_local_account(pool: Pool, key: str) -> int:
    """Creates the embedded platform's account at the first start. Returns its ID.

    A `key` that the database doesn't know, as after a restore, becomes the current one: it is stored next to the
    database's password, so it is as trusted.
    """
    async with pool.connection() as connection, connection.transaction():
        await control_database.fetch_rows(connection, "LOCK TABLE account IN EXCLUSIVE MODE")
        query = "SELECT account_id AS id FROM api_key WHERE key_hash = %(hash)s"
        found = await control_database.fetch_rows(connection, query, {"hash": key_hash(key)})
        if found:
            return int(found[0]["id"])
        query = "SELECT id FROM account WHERE name = %(name)s ORDER BY id LIMIT 1"
        found = await control_database.fetch_rows(connection, query, {"name": LOCAL_ACCOUNT_NAME})
        if not found:
            query = "INSERT INTO account (name) VALUES (%(name)s) RETURNING id"
            found = await control_database.fetch_rows(connection, query, {"name": LOCAL_ACCOUNT_NAME})
        account_id: int = found[0]["id"]
        await _replace_key(connection, account_id, key, KEY_GRACE_PERIOD)
    return account_id


async def create_account(pool: Pool, name: str, tier: str) -> dict[str, object]:
    """Creates an account. The result has its first key, which can't be shown again."""
    key = new_api_key()
    async with pool.connection() as connection, connection.transaction():
        query = "INSERT INTO account (name, tier) VALUES (%(name)s, %(tier)s) RETURNING id"
        found = await control_database.fetch_rows(connection, query, {"name": name, "tier": tier})
        account_id: int = found[0]["id"]
        await _replace_key(connection, account_id, key, KEY_GRACE_PERIOD)
    return {"account_id": account_id, "name": name, "tier": tier, "api_key": key}


async def rotate_key(pool: Pool, account_id: int, *, grace: timedelta = KEY_GRACE_PERIOD) -> str:
    """Returns a new key for the account, which can't be shown again. Older ones work for at most `grace` more.

    Raises LookupError if there is no such account.
    """
    key = new_api_key()
    async with pool.connection() as connection, connection.transaction():
        query = "SELECT 1 FROM account WHERE id = %(id)s AND deleted_at IS NULL FOR UPDATE"
        if not await control_database.fetch_rows(connection, query, {"id": account_id}):
            raise LookupError(account_id)
        await _replace_key(connection, account_id, key, grace)
    return key


async def change_tier(pool: Pool, account_id: int, tier: str) -> dict[str, object]:
    """Changes the tier of all the account's projects, from the next request on. Raises LookupError."""
    query = "UPDATE account SET tier = %(tier)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING name"
    row = await control_database.fetch_one(pool, query, {"id": account_id, "tier": tier})
    if row is None:
        raise LookupError(account_id)
    return {"account_id": account_id, "name": row["name"], "tier": tier}


async def list_accounts(pool: Pool) -> list[dict[str, object]]:
    """All accounts, the oldest first, with the dates when their keys are due for rotation and when they expire."""
    query = (
        "SELECT id, name, tier, CASE WHEN deleted_at IS NOT NULL THEN 'deleting' WHEN suspended_at IS NOT NULL"
        " THEN 'suspended' ELSE 'active' END AS status, (SELECT count(*) FROM project WHERE account_id = account.id"
        " AND status <> 'deleting') AS projects, api_key.created_at AS key_created_at FROM account"
        " LEFT JOIN api_key ON account_id = account.id AND replaced_at IS NULL ORDER BY id"
    )
    return [
        {
            "account_id": row["id"],
            "name": row["name"],
            "tier": row["tier"],
            "status": row["status"],
            "projects": row["projects"],
            "key_due": _day(row["key_created_at"] + KEY_LIFETIME) if row["key_created_at"] else None,
            "key_expires": _day(row["key_created_at"] + KEY_LIFETIME + KEY_GRACE_PERIOD)
            if row["key_created_at"]
            else None,
        }
        for row in await control_database.fetch(pool, query)
    ]


async def is_rotation_due(pool: Pool, key: str) -> bool:
    """Whether `key` must be replaced: it is older than KEY_LIFETIME, or an interrupted rotation already replaced it
    without storing the new one."""
    row = await control_database.fetch_one(
        pool,
        "SELECT replaced_at IS NOT NULL OR created_at <= now() - %(life)s AS due FROM api_key"
        " WHERE key_hash = %(hash)s",
        {"hash": key_hash(key), "life": KEY_LIFETIME},
    )
    return bool(row and row["due"])


async def _replace_key(connection: Connection, account_id: int, key: str, grace: timedelta) -> None:
    """Makes `key` the current one. The old key gets `grace`, unless it had already expired by age."""
    await control_database.fetch_rows(
        connection,
        "UPDATE api_key SET replaced_at = now(), expires_at = CASE"
        " WHEN created_at + %(lifetime)s <= now() THEN created_at + %(lifetime)s ELSE now() + %(grace)s END"
        " WHERE account_id = %(account)s AND replaced_at IS NULL",
        {"account": account_id, "grace": grace, "lifetime": KEY_LIFETIME + KEY_GRACE_PERIOD},
    )
    await control_database.fetch_rows(
        connection,
        "UPDATE api_key SET expires_at = now() + %(grace)s WHERE account_id = %(account)s AND replaced_at IS NOT NULL"
        " AND expires_at > now() + %(grace)s",
        {"account": account_id, "grace": grace},
    )
    await control_database.fetch_rows(
        connection,
        "INSERT INTO api_key (key_hash, account_id) VALUES (%(hash)s, %(account)s)",
        {"hash": key_hash(key), "account": account_id},
    )


async def _look_up_key(pool: Pool, digest: bytes, local: bool) -> AuthenticatedAccount:
    """Raises Fault 401 if the key is unknown or expired. A key that was never replaced expires by age, too: a served
    platform can't hand out a new one by itself."""
    row = await control_database.fetch_one(
        pool,
        "SELECT *, coalesce(expires_at <= now(), false) AS expired FROM (SELECT account_id, created_at, replaced_at,"
        " CASE WHEN replaced_at IS NOT NULL THEN expires_at"
        " WHEN created_at + %(life)s <= now() THEN created_at + %(life)s + %(grace)s END AS expires_at"
        " FROM api_key WHERE key_hash = %(hash)s) AS known"
        " JOIN (SELECT id, suspended_at FROM account) AS account ON account.id = account_id",
        {"hash": digest, "life": KEY_LIFETIME, "grace": KEY_GRACE_PERIOD},
    )
    if row is None:
        raise Fault(401, "api_key_invalid", "this API key isn't valid" + (_LOCAL_HINT if local else ""))
    if row["suspended_at"] is not None:
        raise Fault(
            401,
            "account_suspended",
            f"account {row['account_id']} is suspended; ask the operator of this platform",
        )
    if row["expired"]:
        raise Fault(
            401, "api_key_expired", _expired_message(row) + (_LOCAL_HINT if local else _hosted_hint(row))
        )
    return AuthenticatedAccount(row["account_id"], row["expires_at"])


_LOCAL_HINT = "; `mosaic-deploy local key` shows the current one"


def _hosted_hint(row: DictRow) -> str:
    if row["replaced_at"] is not None:
        return "; use the key that replaced it"
    return f"; ask the operator of this platform to rotate the key of account {row['account_id']}"


def _expired_message(row: DictRow) -> str:
    expired_on = _day(row["expires_at"])
    if row["replaced_at"] is None:
        return f"this API key, created on {_day(row['created_at'])}, expired on {expired_on}"
    return f"this API key was replaced on {_day(row['replaced_at'])} and expired on {expired_on}"


def _day(moment: datetime) -> str:
    return str(moment.astimezone(UTC).date())
