"""Databases of rehearsals on the embedded platform: bases, their number, and what is dropped."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from started_platform import run_platform

from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.postgres.rehearsal_databases import MAX_BASES


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Rehearsals:
    def __init__(self, api: Any) -> None:
        self.api = api

    def step(self, step: str, name: str, **fields: object) -> dict[str, Any]:
        response = self.api.post(f"{self.api.root}/rehearsal", json={"step": step, "name": name, **fields})
        assert response.status_code == 200, response.text
        return response.json()

    def open(self, *bases: str) -> tuple[str, dict[str, Any]]:
        name = secrets.token_hex(8)
        return name, self.step("open", name, bases=[digest(base) for base in bases])

    def sql(self, project: str, name: str, query: str, status: int = 200) -> list[dict[str, Any]]:
        headers = {"Mosaic-Database": f"rehearsal {name}"}
        response = self.api.post(f"/{project}/sql", json={"query": query}, headers=headers)
        assert response.status_code == status, response.text
        return response.json().get("rows", [])

    def keep(self, base: str, *after: str) -> str:
        """Makes a base with a table of its name, from one of the bases `after`."""
        name, found = self.open(*after)
        self.sql(found["project_id"], name, f"CREATE TABLE {base} (n int)")
        self.step("keep", name, base=digest(base))
        return str(found["project_id"])


@pytest.fixture
def rehearsals(api) -> Rehearsals:
    return Rehearsals(api)


@pytest.fixture
def databases(rehearsals) -> Iterator[Callable[[str], list[str]]]:
    """The bases or rehearsals that there are, the oldest first, without the one that looks."""
    name, found = rehearsals.open()
    project = found["project_id"]

    def look(kind: str) -> list[str]:
        prefix = f"tenant_{project.replace('-', '_')}_{kind}_"
        query = f"SELECT datname FROM pg_database WHERE starts_with(datname, '{prefix}') ORDER BY oid"
        names = [row["datname"].removeprefix(prefix) for row in rehearsals.sql(project, name, query)]
        return [each for each in names if each != name]

    yield look
    rehearsals.step("drop", name)


def test_a_rehearsal_starts_with_the_first_base_that_exists(rehearsals):
    project = rehearsals.keep("first")
    rehearsals.keep("second", "first")
    for wanted, tables in ((("second", "first"), 2), (("unknown", "first"), 1), (("unknown",), 0)):
        name, found = rehearsals.open(*wanted)
        assert found["base"] == (digest(wanted[-1] if tables == 1 else wanted[0]) if tables else None)
        rows = rehearsals.sql(
            project, name, "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'"
        )
        assert rows == [{"n": tables}]
        rehearsals.step("drop", name)


def test_a_base_is_kept_once(rehearsals, databases):
    rehearsals.keep("once")
    rehearsals.keep("again", "once")
    before = databases("base")
    name, found = rehearsals.open("once")
    rehearsals.step("keep", name, base=digest("again"))
    assert databases("base") == before
    name, found = rehearsals.open("again")
    rows = rehearsals.sql(found["project_id"], name, "SELECT to_regclass('again') IS NOT NULL AS first")
    assert rows == [{"first": True}]
    rehearsals.step("drop", name)


def test_the_oldest_bases_are_given_up_and_unused_databases_dropped(rehearsals, databases):
    # Those of killed rehearsals of other tests stay for long.
    before = set(databases("rehearsal"))
    names = [f"many{number}" for number in range(MAX_BASES + 2)]
    for name in names:
        rehearsals.keep(name)
    assert databases("base") == [digest(name)[:32] for name in names[2:]]
    # Each drop waits for a checkpoint.
    deadline = time.monotonic() + 200
    while set(databases("rehearsal")) - before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert set(databases("rehearsal")) <= before


def test_its_project_is_in_no_list(rehearsals, api):
    project = rehearsals.keep("hidden")
    assert project not in api.get("/projects").text
    assert api.get("/projects").json()["projects"] is not None


def test_an_ended_rehearsal_has_no_database(rehearsals):
    name, found = rehearsals.open()
    rehearsals.step("drop", name)
    rehearsals.sql(found["project_id"], name, "SELECT 1", status=409)


@pytest.mark.parametrize(
    "body",
    [
        {"step": "open"},
        {"step": "open", "name": "x'"},
        {"step": "open", "name": "ab" * 8, "bases": ["../x"]},
        {"step": "open", "name": "ab" * 8, "bases": 1},
        {"step": "keep", "name": "ab" * 8, "base": "x"},
        {"step": "delete", "name": "ab" * 8},
    ],
)
def test_invalid_requests(api, body):
    assert api.post(f"{api.root}/rehearsal", json=body).status_code == 400


def test_it_needs_the_key(api):
    assert api.plain.post(f"{api.root}/rehearsal", json={}).status_code == 401


def test_a_platform_that_is_not_used_stops_and_bases_outlive_it(tmp_path, monkeypatch):
    from tests.platform.conftest import Api

    home = tmp_path / "idle"
    monkeypatch.setenv("MOSAIC_LOCAL_IDLE", "3")
    started = run_platform(home, "start", "--port", str(free_port()))
    with Api(started["url"], started["api_key"]) as api:
        Rehearsals(api).keep("outlives")
    deadline = time.monotonic() + 60
    while run_platform(home, "status")["status"] == "running" and time.monotonic() < deadline:
        time.sleep(4)
    assert run_platform(home, "status")["status"] == "stopped"
    monkeypatch.setenv("MOSAIC_LOCAL_IDLE", "0.5")
    assert run_platform(home, "start")["error"]["code"] == "limit_invalid"
    monkeypatch.delenv("MOSAIC_LOCAL_IDLE")
    started = run_platform(home, "start", "--port", str(free_port()))
    with Api(started["url"], started["api_key"]) as api:
        assert Rehearsals(api).open("outlives")[1]["base"] == digest("outlives")
    assert run_platform(home, "reset")["exit_code"] == 0
