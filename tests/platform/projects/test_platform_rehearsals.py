"""Databases of rehearsals on the embedded platform: bases, their number, and what is dropped."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from behind_the_api import with_control_pool
from started_platform import run_platform

from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.rehearsal_databases import MAX_BASES
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.projects import rehearsals as rehearsal_jobs
from mosaic_deploy.platform.services import Platform


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


OF_THE_DATABASE = (
    "ALTER DATABASE {other} SET search_path = 'elsewhere'",
    "ALTER DATABASE {other} IS_TEMPLATE true",
    "ALTER DATABASE {other} CONNECTION LIMIT 0",
    "ALTER DATABASE {other} ALLOW_CONNECTIONS false",
    "GRANT ALL ON DATABASE {other} TO PUBLIC",
    "DROP DATABASE {other} WITH (FORCE)",
)
OF_THE_ROLE = (
    "ALTER ROLE {role} IN DATABASE {other} SET default_transaction_read_only = on",
    "ALTER ROLE {role} SET lock_timeout = 1",
)


@pytest.mark.parametrize("base", [True, False], ids=["a base", "the empty database"])
def test_a_rehearsal_reaches_nothing_that_later_ones_start_with(rehearsals, base):
    """SQL that nobody has approved, of a repository that isn't that of the next rehearsal."""
    rehearsals.keep("reached")
    name, found = rehearsals.open()
    project, role = found["project_id"], found["owner"]
    other = f"{role}_base_{digest('reached')[:32]}" if base else role
    ask = (
        "SELECT current_setting('search_path') AS path, current_setting('default_transaction_read_only') AS only, "
        "current_setting('lock_timeout') AS lock, to_regclass('reached') IS NOT NULL AS base"
    )
    for statement in OF_THE_DATABASE:
        rehearsals.sql(project, name, statement.format(other=other), status=400)
    for statement in OF_THE_ROLE:
        rehearsals.sql(project, name, statement.format(other=other, role=role))
    later, opened = rehearsals.open("reached" if base else "unknown")
    assert opened["base"] == (digest("reached") if base else None)
    assert rehearsals.sql(project, later, ask) == [
        {"path": '"$user", public', "only": "off", "lock": "0", "base": base}
    ]
    rehearsals.step("drop", later)
    rehearsals.step("drop", name)


def test_a_transaction_that_locks_the_role_holds_up_no_rehearsal(rehearsals):
    (name, found), (other, _) = rehearsals.open(), rehearsals.open()
    lock = f"DO $$BEGIN EXECUTE 'ALTER ROLE {found['owner']} SET work_mem = 99'; PERFORM pg_sleep(60); END$$"
    with ThreadPoolExecutor(1) as pool:
        locking = pool.submit(rehearsals.sql, found["project_id"], name, lock, 503)
        waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{found['owner']}_rehearsal_{name}'"
        while not rehearsals.sql(found["project_id"], other, f"{waiting} AND state = 'active'"):
            time.sleep(0.05)
        later, _ = rehearsals.open()
        assert rehearsals.sql(found["project_id"], later, "SHOW work_mem") == [{"work_mem": "4MB"}]
        locking.result()
    for each in (name, other, later):
        rehearsals.step("drop", each)


def test_a_database_that_its_role_made_a_template_is_dropped(rehearsals, databases):
    name, found = rehearsals.open()
    database = f"{found['owner']}_rehearsal_{name}"
    rehearsals.sql(found["project_id"], name, f"ALTER DATABASE {database} IS_TEMPLATE true")
    rehearsals.step("drop", name)
    deadline = time.monotonic() + 100
    while name in databases("rehearsal") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert name not in databases("rehearsal")


def test_a_rehearsal_whose_database_grows_too_large_ends(rehearsals, platform, monkeypatch):
    (large, found), (small, _) = rehearsals.open(), rehearsals.open()
    fill = "CREATE TABLE large AS SELECT repeat(n::text, 99) FROM generate_series(1, 40000) AS n"
    rehearsals.sql(found["project_id"], large, fill)
    monkeypatch.setattr(rehearsal_jobs, "MAX_BYTES", 20_000_000)
    state = json.loads((platform.home / "state.json").read_text())
    dropped = AsyncMock()
    monkeypatch.setattr(rehearsal_jobs.rehearsal_databases, "drop_all_but", dropped)

    async def look(pool: Any) -> set[str]:
        [row] = await control_database.fetch(pool, "SELECT account_id FROM project WHERE hidden")
        server = Server.embedded(state["postgres_port"], state["postgres_password"])
        sessions = SimpleNamespace(close_database=AsyncMock())
        running = SimpleNamespace(
            pool=pool, server=server, account_id=row["account_id"], sessions=sessions,
            rehearsals=dict.fromkeys((large, small), time.monotonic()),
        )  # fmt: skip
        await rehearsal_jobs.drop_unused(cast(Platform, running))
        return set(running.rehearsals)

    assert with_control_pool(platform, look) == {small}
    assert set(dropped.call_args.args[1]) == {small}
    for name in (large, small):
        rehearsals.step("drop", name)


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
