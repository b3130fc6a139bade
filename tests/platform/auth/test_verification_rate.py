"""Tokens of one project are verified at a limited rate, which no other project notices."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mosaic_deploy.platform.auth import magic_link, verifications
from mosaic_deploy.platform.faults import Fault

FLOODED = ("site", "flooded")


def test_a_projects_verifications_have_a_rate(monkeypatch) -> None:
    monkeypatch.setattr(verifications, "_budgets", {})
    for _ in range(100):
        verifications.count(FLOODED, 1000.0)
    with pytest.raises(Fault) as caught:
        verifications.count(FLOODED, 1000.0)
    assert (caught.value.status, caught.value.code, caught.value.headers) == (
        429,
        "too_many_verifications",
        {"Retry-After": "1"},
    )
    verifications.count(("site", "other"), 1000.0)
    for _ in range(20):
        verifications.count(FLOODED, 1001.0)
    with pytest.raises(Fault):
        verifications.count(FLOODED, 1001.0)


def test_invented_names_take_no_memory_and_give_nobody_a_new_rate(monkeypatch) -> None:
    monkeypatch.setattr(verifications, "_budgets", {FLOODED: (0.0, 1000.0)})
    monkeypatch.setattr(verifications, "_CACHE_LIMIT", 10)
    for number in range(100):
        verifications.count(("site", f"p{number}"), 1000.0 + number / 1000)
    assert len(verifications._budgets) <= 60
    with pytest.raises(Fault):
        for _ in range(4):
            verifications.count(FLOODED, 1000.1)


def test_a_refusal_comes_after_a_pause(monkeypatch) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(verifications.asyncio, "sleep", pause)
    monkeypatch.setattr(verifications, "_budgets", {FLOODED: (0.0, 1e12)})
    with pytest.raises(Fault):
        asyncio.run(verifications.check("site", "flooded"))
    assert paused == [1.0]


def test_what_anybody_sends_to_the_site_leaves_calls_with_a_key_alone(monkeypatch) -> None:
    async def find(*_: object) -> dict[str, str]:
        return {"id": "flooded"}

    async def verify(*_: object) -> str:
        return "verified"

    monkeypatch.setattr(magic_link, "find_project", find)
    monkeypatch.setattr(magic_link, "_verify", verify)
    monkeypatch.setattr(verifications, "_budgets", {FLOODED: (0.0, 1e12)})
    monkeypatch.setattr(verifications, "PAUSE_SECONDS", 0)
    nothing = cast(Any, None)
    request = cast(Any, SimpleNamespace(headers={"content-type": "application/json"}))
    with pytest.raises(Fault):
        asyncio.run(magic_link.verify_on_site(nothing, request, "flooded"))
    assert asyncio.run(magic_link.verify_token(nothing, nothing)) == "verified"
