"""Accounts and their API keys. Keys are stored as SHA-256: they are random, so nothing slower is needed."""

from __future__ import annotations

import hashlib
import hmac

from mosaic_deploy.platform import control
from mosaic_deploy.platform.control import Pool
from mosaic_deploy.platform.faults import Fault

_WRONG_KEY = "the API key is {}; keys rotate every 30 days, and the current one is shown by `mosaic-deploy local status`"


def key_hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


async def ensure_account(pool: Pool, key: str) -> int:
    """The account this key belongs to; made with the key at the first start. Returns the account's id."""
    async with pool.connection() as connection, connection.transaction():
        await control.rows(connection, "LOCK TABLE account IN EXCLUSIVE MODE")
        found = await control.rows(
            connection, "SELECT account_id FROM api_key WHERE key_hash = %(hash)s", {"hash": key_hash(key)}
        )
        if not found:
            found = await control.rows(
                connection,
                "WITH owner AS (INSERT INTO account (name) VALUES ('local') RETURNING id)"
                " INSERT INTO api_key (key_hash, account_id) SELECT %(hash)s, id FROM owner RETURNING account_id",
                {"hash": key_hash(key)},
            )
    account_id: int = found[0]["account_id"]
    return account_id


def check_key(given: str | None, expected: str) -> None:
    """Raise the 401 of the API unless `given` is the key. The comparison takes the same time for any key."""
    if given is None:
        raise Fault(401, "api_key_missing", _WRONG_KEY.format("missing: send it as X-API-Key"))
    if not hmac.compare_digest(key_hash(given), key_hash(expected)):
        raise Fault(401, "api_key_invalid", _WRONG_KEY.format("not valid (any more)"))
