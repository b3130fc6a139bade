"""Databases of rehearsals on the embedded platform: bases, their number, and what is dropped."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from behind_the_api import with_control_pool
from started_platform import control_database as control_database_of
from started_platform import run_platform

from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.rehearsal_databases import MAX_BASES
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.projects import rehearsals as rehearsal_jobs
from mosaic_deploy.platform.services import Platform
from tests.platform.projects.conftest import Rehearsals, digest


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
        if name == names[0]:
            rehearsals.prepare(name)
            assert databases("spare") == [digest(name)[:32]]
    assert databases("base") == [digest(name)[:32] for name in names[2:]]
    assert databases("spare") == []
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


@pytest.mark.parametrize("kind", ["base", "spare", ""], ids=["a base", "a spare copy", "the empty database"])
def test_a_rehearsal_reaches_nothing_that_later_ones_start_with(rehearsals, databases, kind):
    """SQL that nobody has approved, of a repository that isn't that of the next rehearsal."""
    base = kind != ""
    rehearsals.keep("reached")
    if kind == "spare":
        rehearsals.prepare("reached")
    name, found = rehearsals.open()
    project, role = found["project_id"], found["owner"]
    other = f"{role}_{kind}_{digest('reached')[:32]}" if base else role
    ask = (
        "SELECT current_setting('search_path') AS path, current_setting('default_transaction_read_only') AS only, "
        "current_setting('lock_timeout') AS lock, to_regclass('reached') IS NOT NULL AS base"
    )
    for statement in OF_THE_DATABASE:
        rehearsals.sql(project, name, statement.format(other=other), status=400)
    for statement in OF_THE_ROLE:
        rehearsals.sql(project, name, statement.format(other=other, role=role))
    assert (digest("reached")[:32] in databases("spare")) == (kind == "spare")
    later, opened = rehearsals.open("reached" if base else "unknown")
    assert not databases("spare")
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


def test_a_database_whose_drop_was_interrupted_is_dropped(rehearsals, databases):
    name, found = rehearsals.open()
    with control_database_of(rehearsals.home) as connection:
        connection.execute(
            "UPDATE pg_database SET datconnlimit = -2 WHERE datname = %s",
            [f"{found['owner']}_rehearsal_{name}"],
        )
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
        Rehearsals(api, home).keep("outlives")
        spare = Rehearsals(api, home).prepare("outlives")
    deadline = time.monotonic() + 60
    while run_platform(home, "status")["status"] == "running" and time.monotonic() < deadline:
        time.sleep(4)
    assert run_platform(home, "status")["status"] == "stopped"
    monkeypatch.setenv("MOSAIC_LOCAL_IDLE", "0.5")
    assert run_platform(home, "start")["error"]["code"] == "limit_invalid"
    monkeypatch.delenv("MOSAIC_LOCAL_IDLE")
    started = run_platform(home, "start", "--port", str(free_port()))
    with Api(started["url"], started["api_key"]) as api:
        rehearsals = Rehearsals(api, home)
        name, found = rehearsals.open("outlives")
        assert found["base"] == digest("outlives")
        assert rehearsals.databases()[f"rehearsal_{name}"] == spare
    assert run_platform(home, "reset")["exit_code"] == 0
