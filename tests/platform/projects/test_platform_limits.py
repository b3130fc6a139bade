"""Limits of the tiers: parsing, settings at the start, enforcement, and a backup in between."""

from __future__ import annotations

import json

import httpx
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.projects import projects
from mosaic_deploy.platform.projects.limits import Limits, local_limits, parse_count, parse_limit, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("20GB", 20 * 10**9), ("1.5 tb", 15 * 10**11), (" 7 MB ", 7 * 10**6), ("1b", 1)],
)
def test_sizes(text, size) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0.4B", "-1", "1GiB", "GB", "1e9", "٣GB", "99999999999TB"])
def test_invalid_sizes(text) -> None:
    with pytest.raises(ValueError, match="isn't a size; use a number with B, kB, MB, GB or TB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "ten", "²", "9999999999"])
def test_invalid_counts(text) -> None:
    with pytest.raises(ValueError, match="isn't a whole number above 0"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("free-database=10GB", ("free_database", 10**10)),
        ("pro_static = 1 MB", ("pro_static", 10**6)),
        ("free-projects=3", ("free_projects", 3)),
    ],
)
def test_other_limits(text, limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "free-database", "free-storage=1GB", "free-projects=1GB", "free-database=-1"]
)
def test_invalid_other_limits(text) -> None:
    with pytest.raises(ValueError, match=r"isn't a|unknown limit"):
        parse_limit(text)


def test_limits_by_tier() -> None:
    limits = Limits(1, 2, 3, 4)
    assert [limits.storage(tier) for tier in ("free", "pro")] == [1, 2]
    assert [limits.emails(tier) for tier in ("free", "pro")] == [3, 4]
    assert Limits().projects("free") is Limits().database("pro") is Limits().static("free") is None
    assert local_limits({}) == Limits() == local_limits({"MOSAIC_LOCAL_STORAGE": ""})
    with pytest.raises(ProcessFault) as caught:
        local_limits({"MOSAIC_LOCAL_EMAILS": "many"})
    assert caught.value.code == "limit_invalid"


def test_configured_limits_are_enforced_and_survive_a_backup(tmp_path, monkeypatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("MOSAIC_LOCAL_STORAGE", "nonsense")
    assert run_platform(home, "start")["error"]["code"] == "limit_invalid"
    monkeypatch.setenv("MOSAIC_LOCAL_STORAGE", "1MB")
    monkeypatch.setenv("MOSAIC_LOCAL_EMAILS", "2")
    started = run_platform(home, "start", "--port", str(free_port()))
    try:
        project_id = create_project(started["url"], started["api_key"], "Small")
        assert _asked(started, project_id) == (413, [200, 200, 429])
        assert (home / "settings.json").stat().st_mode & 0o777 == 0o600
        for name in ("MOSAIC_LOCAL_STORAGE", "MOSAIC_LOCAL_EMAILS"):
            monkeypatch.delenv(name)
        assert run_platform(home, "backup", str(tmp_path / "b.tgz"))["exit_code"] == 0
        again = json.loads((home / "platform.json").read_text())
        assert again["pid"] != started["pid"]
        assert _asked(again, project_id) == (413, [429, 429, 429])
        run_platform(home, "stop")
        assert _asked(run_platform(home, "start"), project_id) == (200, [200, 200, 200])
    finally:
        run_platform(home, "reset")
    assert not (home / "settings.json").exists()


def _asked(document, project_id: str) -> tuple[int, list[int]]:
    """The statuses of a request for 2 MB of storage, and of three requests for emails."""
    base, headers = f"{document['url']}/v1/project/{project_id}", {"X-API-Key": document["api_key"]}
    with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
        upload = client.post("/storage/upload", json={"filename": "a.bin", "size": 2_000_000})
        emails = [client.post("/auth/magic-link", json={"email": f"a{n}@example.com"}) for n in range(3)]
    refused = [one.json()["error"] for one in emails if one.status_code == 429]
    assert all(one["message"].startswith("the free tier sends 2 emails a day") for one in refused)
    assert all("next_at" in one for one in refused)
    return upload.status_code, [one.status_code for one in emails]


@pytest.mark.parametrize(
    ("deleting", "advice"), [(0, "delete one first"), (3, "wait until 3 deleted ones are removed")]
)
def test_the_limit_of_projects_says_what_to_do(deleting, advice) -> None:
    fault = projects._limit_fault(10, deleting)
    assert fault.message == f"the account has 10 projects, as many as it may have; {advice}"
