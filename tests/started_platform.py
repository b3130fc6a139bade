"""Helpers to control an embedded platform from tests, through its command line and its API."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql


@dataclass(frozen=True)
class RunningPlatform:
    """The API is at `{url}/v1/project`. `home` is its MOSAIC_HOME."""

    url: str
    api_key: str
    home: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def run_platform(home: Path, *arguments: str) -> dict[str, Any]:
    """Runs `python -m mosaic_deploy.platform`. Returns its JSON document, with `exit_code` added."""
    process = subprocess.run(
        [sys.executable, "-m", "mosaic_deploy.platform", *arguments],
        env={**os.environ, "MOSAIC_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert process.stdout, process.stderr
    document: dict[str, Any] = json.loads(process.stdout)
    return {**document, "exit_code": process.returncode}


def prepare_for_tests(home: Path) -> None:
    """Lets the platform's PostgreSQL do nothing that only the machine's crash or years of use would need.

    It doesn't wait for the disk, and doesn't vacuum: with hundreds of databases that takes more CPU time than the tests.
    """
    with control_database(home) as connection:
        for setting in ("fsync", "autovacuum"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


SHARED = "Shared by all tests"
"""The name of a project that several modules use."""


def hide_projects(home: Path) -> list[str]:
    """Gives the platform's projects, except the SHARED one, to another account: each request for a list of projects would list them.

    Returns their databases.
    """
    with control_database(home) as connection:
        found = connection.execute(
            "WITH other AS (INSERT INTO account (name) VALUES ('done') RETURNING id) "
            "UPDATE project SET account_id = other.id FROM other WHERE NOT hidden AND project.name <> %s "
            "AND account_id NOT IN (SELECT id FROM account WHERE name = 'done') RETURNING project.id",
            [SHARED],
        )
        return ["tenant_" + str(row[0]).replace("-", "_") for row in found]


def drop_databases(home: Path, names: list[str]) -> None:
    """Deletes the files of projects that no test uses any more: hundreds of databases are gigabytes, and take a minute at the end."""
    with contextlib.suppress(psycopg.Error), control_database(home) as connection:
        for name in names:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(statement.format(sql.Identifier(name)))


def control_database(home: Path) -> psycopg.Connection:
    state = json.loads((home / "state.json").read_text())
    pidfile = Path(state["postgres_folder"]) / "data" / "postmaster.pid"
    return psycopg.connect(
        host="127.0.0.1", port=int(pidfile.read_text().splitlines()[3]), dbname="mosaic_control",
        user="mosaic", password=state["postgres_password"], autocommit=True,
    )  # fmt: skip


def create_project(url: str, api_key: str, name: str) -> str:
    """The ID of a new project, once it is running."""
    with httpx.Client(base_url=f"{url}/v1/project", headers={"X-API-Key": api_key}) as client:
        created = client.post("/projects", json={"name": name})
        assert created.status_code == 201, created.text
        project_id: str = created.json()["project_id"]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            listed = client.get("/projects").json()["projects"]
            if any(one["project_id"] == project_id and one["status"] == "running" for one in listed):
                return project_id
            time.sleep(0.05)
    raise AssertionError(f"project {project_id} is not running")
