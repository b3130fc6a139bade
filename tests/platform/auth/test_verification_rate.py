"""Tokens of one project are verified at a limited rate, which no other project notices."""

from __future__ import annotations

import pytest

from mosaic_deploy.platform.auth import verifications
from mosaic_deploy.platform.faults import Fault


def test_a_projects_verifications_have_a_rate(monkeypatch) -> None:
    monkeypatch.setattr(verifications, "_budgets", {})
    for _ in range(100):
        verifications.check("flooded", 1000.0)
    with pytest.raises(Fault) as caught:
        verifications.check("flooded", 1000.0)
    assert (caught.value.status, caught.value.code, caught.value.headers) == (
        429,
        "too_many_verifications",
        {"Retry-After": "1"},
    )
    verifications.check("other", 1000.0)
    for _ in range(20):
        verifications.check("flooded", 1001.0)
    with pytest.raises(Fault):
        verifications.check("flooded", 1001.0)


def test_many_projects_take_no_memory(monkeypatch) -> None:
    monkeypatch.setattr(verifications, "_budgets", {})
    monkeypatch.setattr(verifications, "_CACHE_LIMIT", 10)
    for number in range(100):
        verifications.check(f"p{number}")
    assert len(verifications._budgets) <= 10
