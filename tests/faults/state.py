"""What a project consists of, read past the deployer: dump, files, settings, tracking tables."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

_LEDGER = {
    "migrations": "SELECT version, file, checksum, semantic_checksum, steps, steps_done, step_begun, md5(source) "
    "FROM mosaic_deploy.migrations ORDER BY version",
    "objects": "SELECT kind, path, sha256, size, state FROM mosaic_deploy.objects ORDER BY kind, path",
    "settings": "SELECT name, value FROM mosaic_deploy.settings WHERE name NOT LIKE 'effects.%' ORDER BY name",
    "lock": "SELECT holder FROM mosaic_deploy.lease",
    "last deploy": "SELECT status FROM mosaic_deploy.deploys ORDER BY serial DESC LIMIT 1",
    "running": "SELECT holder FROM mosaic_deploy.deploys WHERE status = 'running'",
}
_VOLATILE = re.compile(r"^\\(?:un)?restrict .*$|^--.*$", re.MULTILINE)


@dataclass(frozen=True)
class State:
    """A project, comparable. What users and apps see is `visible`; `ledger` are the tracking tables."""

    visible: Mapping[str, Any]
    ledger: Mapping[str, Any]

    @property
    def is_empty(self) -> bool:
        files = self.visible["static"] or self.visible["storage"]
        return not (self.ledger or files or "CREATE TABLE" in self.visible["database"])

    def differences(self, wanted: State, *, ledger: bool = True) -> list[str]:
        """What differs from `wanted`, a line each."""
        if "projects" in self.visible:
            return [f"several projects of one name: {', '.join(self.visible['projects'])}"]
        found = _differences("", self.visible, wanted.visible)
        return found + (_differences("ledger ", self.ledger, wanted.ledger) if ledger else [])


NOTHING = State({}, {})


@dataclass(frozen=True)
class Reader:
    """Reads states of the projects of one platform."""

    url: str
    api_key: str
    postgres_port: int
    password: str
    pg_dump: Path

    def read(self, name: str) -> State:
        """The state of the project of this name; NOTHING if there is none."""
        with self._api() as api:
            projects = self._ids(api, name)
            if not projects:
                return NOTHING
            states = [self._state(api, project) for project in projects]
            # A repeated request may have created a second project. It is harmless if nothing is in it.
            used = [state for state in states if not state.is_empty] or states[:1]
            return used[0] if len(used) == 1 else State({"projects": projects}, {})

    def _state(self, api: httpx.Client, project: str) -> State:
        site = {"Host": f"{project}.localhost:{self.url.rpartition(':')[2]}"}
        visible = {
            "database": self._dump(_database(project)),
            "static": _static(api, self.url, project, site),
            "storage": _storage(api, self.url, project, site),
            "settings": api.get(f"/{project}/auth/settings").json(),
        }
        return State(visible, self._ledger(_database(project)))

    def execute(self, name: str, statement: str) -> None:
        """Runs a statement as superuser in the database of the project of this name, if there is one by now."""
        with self._api() as api:
            listed = api.get("/projects").json()["projects"]
        running = [each for each in listed if each["name"] == name and each["status"] == "running"]
        if len(running) == 1:
            with self._connect(_database(running[0]["project_id"])) as connection:
                connection.execute(statement)

    def delete(self, name: str) -> None:
        """Deletes the projects of this name."""
        with self._api() as api:
            for project in self._ids(api, name):
                api.delete(f"/projects/{project}")

    def _api(self) -> httpx.Client:
        headers = {"X-API-Key": self.api_key}
        return httpx.Client(base_url=f"{self.url}/v1/project", headers=headers, timeout=60)

    def _ids(self, api: httpx.Client, name: str) -> list[str]:
        return [
            each["project_id"] for each in api.get("/projects").json()["projects"] if each["name"] == name
        ]

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.postgres_port, user="mosaic", password=self.password, dbname=database,
            sslmode="disable", autocommit=True,
        )  # fmt: skip

    def _dump(self, database: str) -> str:
        """The catalog and the rows. Physical order is kept: rows written twice or in another order show."""
        command = [
            str(self.pg_dump), "--host=127.0.0.1", f"--port={self.postgres_port}", "--username=mosaic",
            "--exclude-schema=mosaic_deploy", database,
        ]  # fmt: skip
        environment = {**os.environ, "PGPASSWORD": self.password, "PGSSLMODE": "disable"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        return _VOLATILE.sub("", done.stdout).replace(database, "tenant")

    def _ledger(self, database: str) -> dict[str, Any]:
        with self._connect(database) as connection:
            row = connection.execute("SELECT to_regclass('mosaic_deploy.ledger')").fetchone()
            if row is None or row[0] is None:
                return {}
            return {name: connection.execute(query).fetchall() for name, query in _LEDGER.items()}


def _database(project: str) -> str:
    return f"tenant_{project.replace('-', '_')}"


def _static(api: httpx.Client, url: str, project: str, site: dict[str, str]) -> dict[str, str]:
    listed = api.get(f"/{project}/files").json()["files"]
    return {each["filename"]: _digest(api.get(f"{url}/{each['filename']}", headers=site)) for each in listed}


def _storage(api: httpx.Client, url: str, project: str, site: dict[str, str]) -> dict[str, str]:
    listed = api.get(f"/{project}/storage").json()["files"]
    paths = {each["filename"]: each["url"].split("/", 3)[3] for each in listed}
    return {name: _digest(api.get(f"{url}/{path}", headers=site)) for name, path in paths.items()}


def _digest(response: httpx.Response) -> str:
    if response.status_code != 200:
        return f"HTTP {response.status_code}"
    return hashlib.sha256(response.content).hexdigest()


def _differences(where: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    lines = []
    for name in sorted(found.keys() | wanted.keys()):
        here, there = found.get(name), wanted.get(name)
        if here == there:
            continue
        if isinstance(here, str) and isinstance(there, str):
            extra = [f"+{line}" for line in here.splitlines() if line not in there.splitlines()]
            lacking = [f"-{line}" for line in there.splitlines() if line not in here.splitlines()]
            again = [] if extra or lacking else ["the same lines, in another order or number"]
            lines.append(f"{where}{name}: {'; '.join([*extra, *lacking, *again][:6])}")
        elif isinstance(here, Mapping) and isinstance(there, Mapping):
            lines += _differences(f"{where}{name} ", here, there)
        else:
            lines.append(f"{where}{name}: {str(here)[:150]} instead of {str(there)[:150]}")
    return lines
