"""Rehearsals as the platform's client makes them."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from started_platform import RunningPlatform, control_database


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Rehearsals:
    """Calls the platform as a deployer that rehearses does."""

    def __init__(self, api: Any, home: Path) -> None:
        self.api, self.home = api, home

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

    def databases(self) -> dict[str, int]:
        """The OIDs of the bases, spares and rehearsals that there are, the oldest first."""
        query = "SELECT substring(datname from '_((base|spare|rehearsal)_[0-9a-f]+)$'), oid::int FROM pg_database ORDER BY oid"
        with control_database(self.home) as connection:
            return {str(name): oid for name, oid in connection.execute(query) if name}

    def ask_for_spare(self, base: str) -> None:
        name, found = self.open(base)
        assert found["base"] == digest(base)
        self.step("drop", name, spare=digest(base))

    def prepare(self, base: str) -> int:
        """The OID of a spare copy of the base."""
        self.ask_for_spare(base)
        deadline = time.monotonic() + 60
        while (spare := self.databases().get(f"spare_{digest(base)[:32]}")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return spare


@pytest.fixture
def rehearsals(api: Any, platform: RunningPlatform) -> Rehearsals:
    return Rehearsals(api, platform.home)


@pytest.fixture
def databases(rehearsals: Rehearsals) -> Callable[[str], list[str]]:
    """The names of the bases, spares or rehearsals that there are, the oldest first."""

    def look(kind: str) -> list[str]:
        return [
            each.removeprefix(f"{kind}_") for each in rehearsals.databases() if each.startswith(f"{kind}_")
        ]

    return look
