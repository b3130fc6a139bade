"""Helpers to control an embedded platform from tests, through its command line and its API."""

from __future__ import annotations

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


def write_without_waiting(home: Path) -> None:
    """Lets the platform's PostgreSQL leave the writing to the disk to the system: only the machine's crash loses data then."""
    state = json.loads((home / "state.json").read_text())
    pidfile = Path(state["postgres_folder"]) / "data" / "postmaster.pid"
    where = {"host": "127.0.0.1", "port": int(pidfile.read_text().splitlines()[3]), "dbname": "postgres"}
    with psycopg.connect(
        **where, user="mosaic", password=state["postgres_password"], autocommit=True
    ) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


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
            time.sleep(0.02)
    raise AssertionError(f"project {project_id} is not running")
