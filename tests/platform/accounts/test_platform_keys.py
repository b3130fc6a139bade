"""Accounts and API keys: rotation, grace period, expiry, isolation."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from behind_the_api import with_control_pool
from started_platform import RunningPlatform, run_platform

from mosaic_deploy.platform.accounts import accounts
from mosaic_deploy.platform.accounts.accounts import ApiKeyAuthenticator
from mosaic_deploy.platform.accounts.local_key import LocalKey
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Pool


@pytest.fixture
def account(platform) -> dict[str, Any]:
    return with_control_pool(platform, lambda pool: accounts.create_account(pool, "Ann", "free"))


@pytest.fixture
def request_as(platform) -> Callable[..., httpx.Response]:
    def request_as(key: str, path: str = "/projects", method: str = "GET", **more: Any) -> httpx.Response:
        return httpx.request(
            method, f"{platform.url}/v1/project{path}", headers={"X-API-Key": key}, timeout=60, **more
        )

    return request_as


def test_keys_are_stored_as_hashes(platform, account) -> None:
    key = account["api_key"]
    assert re.fullmatch(r"mk_[A-Za-z0-9_-]{43}", key)
    rows = with_control_pool(
        platform, lambda pool: control_database.fetch(pool, "SELECT * FROM api_key JOIN account ON true")
    )
    assert accounts.key_hash(key) in {bytes(row["key_hash"]) for row in rows}
    assert key not in repr(rows)
    assert repr(LocalKey(platform.home, key, 1)) == "LocalKey(mk_…)"


def test_a_replaced_key_works_during_its_grace_period_and_announces_its_expiry(
    platform, account, request_as
) -> None:
    old, account_id = account["api_key"], account["account_id"]
    assert "X-API-Key-Expires" not in request_as(old).headers
    new = with_control_pool(platform, lambda pool: accounts.rotate_key(pool, account_id))
    assert request_as(new).status_code == 200
    assert "X-API-Key-Expires" not in request_as(new).headers
    # Other workers cache keys for some seconds.
    with_control_pool(platform, _a_while_later)
    response = request_as(old)
    assert response.status_code == 200
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[0-9:]{8}\+00:00", response.headers["X-API-Key-Expires"])


async def _a_while_later(_pool: Pool) -> None:
    await asyncio.sleep(accounts._CACHE_SECONDS)


def test_an_expired_key_is_refused_with_dates(platform, account, request_as) -> None:
    old, account_id = account["api_key"], account["account_id"]
    with_control_pool(platform, lambda pool: accounts.rotate_key(pool, account_id, grace=timedelta(0)))
    response = request_as(old)
    assert response.status_code == 401
    error = response.json()["error"]
    assert error["code"] == "api_key_expired"
    assert re.fullmatch(
        r"this API key was replaced on 20\d\d-\d\d-\d\d and expired on 20\d\d-\d\d-\d\d;"
        r" `mosaic-deploy local key` shows the current one",
        error["message"],
    )


def _aged(platform, account, days: int) -> None:
    age = "UPDATE api_key SET created_at = now() - make_interval(days => %(days)s) WHERE account_id = %(id)s"
    parameters = {"days": days, "id": account["account_id"]}
    with_control_pool(platform, lambda pool: control_database.fetch(pool, age, parameters))


def test_a_key_that_is_never_rotated_expires_by_age(platform, request_as) -> None:
    """As on a served platform, which doesn't rotate keys by itself."""

    def aged(days: int) -> dict[str, Any]:
        """A new account for each age, because keys are cached for some seconds."""
        created = with_control_pool(platform, lambda pool: accounts.create_account(pool, "Ann", "free"))
        _aged(platform, created, days)
        return created

    assert "X-API-Key-Expires" not in request_as(aged(29)["api_key"]).headers
    response = request_as(aged(31)["api_key"])
    assert response.status_code == 200
    left = datetime.fromisoformat(response.headers["X-API-Key-Expires"]) - datetime.now(UTC)
    assert timedelta(days=5, hours=23) < left <= timedelta(days=6)
    old = aged(38)
    response = request_as(old["api_key"])
    assert (response.status_code, response.json()["error"]["code"]) == (401, "api_key_expired")
    # A new key works, and doesn't revive the old one.
    new = with_control_pool(platform, lambda pool: accounts.rotate_key(pool, old["account_id"]))
    assert request_as(new).status_code == 200
    assert request_as(old["api_key"]).json()["error"]["code"] == "api_key_expired"


def test_a_served_platform_says_how_to_get_a_new_key(platform, account) -> None:
    number, key = account["account_id"], account["api_key"]

    async def refused(pool: Pool) -> str:
        with pytest.raises(Fault) as caught:
            await ApiKeyAuthenticator().authenticate(pool, key, local=False)
        return caught.value.message

    _aged(platform, account, 38)
    aged = with_control_pool(platform, refused)
    assert re.fullmatch(
        r"this API key, created on 20\d\d-\d\d-\d\d, expired on 20\d\d-\d\d-\d\d;"
        rf" ask the operator of this platform to rotate the key of account {number}",
        aged,
    )
    with_control_pool(platform, lambda pool: accounts.rotate_key(pool, number))
    assert with_control_pool(platform, refused).endswith("; use the key that replaced it")


def test_accounts_are_listed_and_change_tier(platform, account) -> None:
    number = account["account_id"]

    async def listed(pool: Pool) -> dict[str, object]:
        return next(one for one in await accounts.list_accounts(pool) if one["account_id"] == number)

    before = with_control_pool(platform, listed)
    assert (before["name"], before["tier"], before["projects"]) == ("Ann", "free", 0)
    today = datetime.now(UTC).date()
    due, key_expires_at = (date.fromisoformat(str(before[name])) for name in ("key_due", "key_expires"))
    assert (due - today).days in (29, 30)
    assert key_expires_at - due == accounts.KEY_GRACE_PERIOD
    assert account["api_key"] not in repr(before)
    with_control_pool(platform, lambda pool: accounts.change_tier(pool, number, "pro"))
    assert with_control_pool(platform, listed)["tier"] == "pro"
    with pytest.raises(LookupError):
        with_control_pool(platform, lambda pool: accounts.change_tier(pool, 10**9, "pro"))


def test_a_second_rotation_doesnt_extend_the_first_grace_period(platform, account) -> None:
    async def twice(pool: Pool) -> list[Any]:
        await accounts.rotate_key(pool, account["account_id"], grace=timedelta(hours=1))
        await accounts.rotate_key(pool, account["account_id"], grace=timedelta(days=9))
        query = "SELECT expires_at - now() AS left FROM api_key WHERE account_id = %(id)s ORDER BY created_at"
        return [
            row["left"] for row in await control_database.fetch(pool, query, {"id": account["account_id"]})
        ]

    first, second, third = with_control_pool(platform, twice)
    assert first < timedelta(hours=1)
    assert timedelta(days=8) < second < timedelta(days=9)
    assert third is None


def test_the_cache_never_outlives_a_key(platform, account) -> None:
    async def run(pool: Pool) -> None:
        keeper, key = ApiKeyAuthenticator(), account["api_key"]
        assert (await keeper.authenticate(pool, key)).account_id == account["account_id"]
        await accounts.rotate_key(pool, account["account_id"], grace=timedelta(seconds=0.3))
        keeper.clear_cache()
        assert (await keeper.authenticate(pool, key)).key_expires_at is not None
        await asyncio.sleep(0.35)
        with pytest.raises(Fault) as caught:
            await keeper.authenticate(pool, key)
        assert caught.value.code == "api_key_expired"

    with_control_pool(platform, run)


def test_concurrent_rotations_leave_one_current_key(platform, account) -> None:
    async def both(pool: Pool) -> int:
        await asyncio.gather(*(accounts.rotate_key(pool, account["account_id"]) for _ in range(5)))
        query = "SELECT count(*) AS n FROM api_key WHERE account_id = %(id)s AND replaced_at IS NULL"
        row = await control_database.fetch_one(pool, query, {"id": account["account_id"]})
        assert row is not None
        return int(row["n"])

    assert with_control_pool(platform, both) == 1


def test_accounts_dont_see_each_other(platform, api, project, account, request_as) -> None:
    mine, key = project("Mine"), account["api_key"]
    api.put_file(mine, "index.html", "x")
    api.upload(mine, "a.bin", b"x")
    ticket = api.post("/tickets", json={"subject": "Mine", "message": "x"}).json()["ticket_id"]
    api.post(f"/{mine}/auth/magic-link", json={"email": "mine@example.com"})
    email_id = api.plain.get(f"{platform.url}/inbox.json", headers=api.headers).json()["emails"][0]["id"]
    assert request_as(key).json() == {"projects": []}
    assert request_as(key, "/tickets").json() == {"tickets": []}
    refused = [
        ("GET", f"/{mine}/credentials", None),
        ("POST", f"/{mine}/sql", {"query": "SELECT 1"}),
        ("GET", f"/{mine}/files", None),
        ("POST", f"/{mine}/files", {"filename": "a.txt", "content": "x"}),
        ("DELETE", f"/{mine}/files/index.html", None),
        ("GET", f"/{mine}/storage", None),
        ("POST", f"/{mine}/storage/upload", {"filename": "a.bin", "size": 1}),
        ("DELETE", f"/{mine}/storage/a.bin", None),
        ("POST", f"/{mine}/auth/magic-link", {"email": "a@example.com"}),
        ("POST", f"/{mine}/auth/verify", {"token": "x", "email": "a@example.com"}),
        ("GET", f"/{mine}/auth/settings", None),
        ("PUT", f"/{mine}/auth/settings", {}),
        ("DELETE", f"/projects/{mine}", None),
        ("POST", "/tickets", {"subject": "x", "message": "x", "project_id": mine}),
        ("GET", f"/tickets/{ticket}", None),
    ]
    for method, path, body in refused:
        response = request_as(key, path, method, json=body)
        assert response.status_code == 404, (method, path, response.text)
        missing = request_as(key, path.replace(mine, "pod-000"), method, json=body)
        if method != "POST" or "tickets" not in path:
            # The message doesn't reveal whether the project exists.
            message = response.json()["error"]["message"].replace(mine, "pod-000")
            assert message == missing.json()["error"]["message"]
    for path in ("/inbox.json", f"/inbox/{email_id}.json"):
        found = httpx.get(platform.url + path, headers={"X-API-Key": key})
        assert found.status_code == (200 if path == "/inbox.json" else 404)
        assert "mine@example.com" not in found.text
    assert api.get(f"/{mine}/files").json()["files"][0]["filename"] == "index.html"


def test_the_local_key_rotates(tmp_path) -> None:
    """On request, after 30 days, and again after a rotation that was interrupted before its key was stored."""
    home = tmp_path / "home"
    assert run_platform(home, "key")["error"]["code"] == "key_missing"
    first = run_platform(home, "start", "--port", str(free_port()))
    try:
        running = RunningPlatform(first["url"], first["api_key"], home)
        assert run_platform(home, "key") == {"api_key": first["api_key"], "exit_code": 0}
        rotated = run_platform(home, "key", "--rotate")
        assert rotated["api_key"] != first["api_key"]
        assert json.loads((home / "platform.json").read_text())["api_key"] == rotated["api_key"]
        for key in (first["api_key"], rotated["api_key"]):
            assert _projects(running.url, key) == 200

        age = "UPDATE api_key SET created_at = now() - interval '31 days' WHERE replaced_at IS NULL"
        with_control_pool(running, lambda pool: control_database.fetch(pool, age))
        due = _restarted(home)
        assert due not in (first["api_key"], rotated["api_key"])
        assert _restarted(home) == due

        with_control_pool(running, lambda pool: accounts.rotate_key(pool, 1))
        healed = _restarted(home)
        assert healed != due
        for key in (first["api_key"], rotated["api_key"], due, healed):
            assert _projects(running.url, key) == 200
    finally:
        run_platform(home, "reset")


def _restarted(home: Any) -> str:
    run_platform(home, "stop")
    started: str = run_platform(home, "start")["api_key"]
    return started


def _projects(url: str, key: str) -> int:
    return httpx.get(f"{url}/v1/project/projects", headers={"X-API-Key": key}).status_code
