"""Spare copies of bases: made in the background after a rehearsal, and used by the next one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from started_platform import control_database

from mosaic_deploy.platform.postgres import rehearsal_databases
from mosaic_deploy.platform.postgres.server import Server
from tests.platform.projects.conftest import Rehearsals, digest

COPYING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE %_spare_%' AND pid <> pg_backend_pid()"


def spare_name(base: str) -> str:
    return f"spare_{digest(base)[:32]}"


@contextmanager
def copying(rehearsals: Rehearsals, base: str) -> Iterator[int]:
    """The process that copies the base in advance. It gets no further while this lasts."""
    name, found = rehearsals.open(base)
    database = f"{found['owner']}_base_{digest(base)[:32]}"
    with control_database(rehearsals.home) as holding, holding.transaction(force_rollback=True):
        holding.execute(f"ALTER DATABASE {database} RENAME TO held")
        rehearsals.step("drop", name, spare=digest(base))
        yield process_that_copies(rehearsals)


def process_that_copies(rehearsals: Rehearsals) -> int:
    deadline = time.monotonic() + 60
    with control_database(rehearsals.home) as connection:
        while (row := connection.execute(COPYING).fetchone()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    return int(row[0])


def used(rehearsals: Rehearsals, base: str) -> int:
    """The OID of the database of a rehearsal on this base."""
    name, found = rehearsals.open(base)
    assert found["base"] == digest(base)
    rows = rehearsals.sql(found["project_id"], name, f"SELECT to_regclass('{base}') IS NOT NULL AS copied")
    assert rows == [{"copied": True}]
    used_one = rehearsals.databases()[f"rehearsal_{name}"]
    rehearsals.step("drop", name)
    return used_one


def test_the_next_rehearsal_uses_the_spare_and_one_at_the_same_time_makes_a_copy(rehearsals):
    rehearsals.keep("prepared")
    spare = rehearsals.prepare("prepared")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(used, [rehearsals] * 2, ["prepared"] * 2))
    assert min(both) == spare < max(both)
    assert spare_name("prepared") not in rehearsals.databases()
    again = rehearsals.prepare("prepared")
    rehearsals.keep("longer", "prepared")
    databases = rehearsals.databases()
    assert databases[f"base_{digest('longer')[:32]}"] == again
    assert spare_name("prepared") not in databases


def test_a_rehearsal_waits_for_the_copy_that_is_being_made(rehearsals):
    rehearsals.keep("awaited")
    with ThreadPoolExecutor(1) as pool:
        with copying(rehearsals, "awaited"):
            assert spare_name("awaited") not in rehearsals.databases()
            before = max(rehearsals.databases().values())
            waiting = pool.submit(used, rehearsals, "awaited")
        assert waiting.result() > before
    assert spare_name("awaited") not in rehearsals.databases()


def test_a_copy_that_ends_early_leaves_no_spare(rehearsals):
    rehearsals.keep("interrupted")
    with copying(rehearsals, "interrupted") as process, control_database(rehearsals.home) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
    assert spare_name("interrupted") not in rehearsals.databases()
    used(rehearsals, "interrupted")
    # The platform has survived that.
    rehearsals.prepare("interrupted")
    used(rehearsals, "interrupted")


def test_only_the_newest_have_a_spare_and_large_ones_have_none(rehearsals, monkeypatch):
    state = json.loads((rehearsals.home / "state.json").read_text())
    server = Server.embedded(state["postgres_port"], state["postgres_password"])
    project = rehearsals.keep("older")
    rehearsals.keep("newer")
    monkeypatch.setattr(rehearsal_databases, "MAX_SPARES", 1)

    def spares_after(base: str, limit: int = 10**9) -> list[str]:
        monkeypatch.setattr(rehearsal_databases, "MAX_SPARE_BYTES", limit)
        asyncio.run(rehearsal_databases.prepare_spare(server, project, digest(base)))
        return [name for name in rehearsals.databases() if name.startswith("spare_")]

    assert spares_after("older") == [spare_name("older")]
    before = rehearsals.databases()
    assert spares_after("older") == [spare_name("older")]
    assert rehearsals.databases()[spare_name("older")] == before[spare_name("older")]
    assert spares_after("newer", 1) == [spare_name("older")]
    assert spares_after("newer") == [spare_name("newer")]
    assert spares_after("no such base") == [spare_name("newer")]
    used(rehearsals, "newer")
