"""Shared by the benchmarks: an embedded platform, and a runner that measures a command's time, memory and requests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

ROUND_TRIP = 0.080
"""Seconds of network delay in the benchmarks that simulate a distant platform."""


@dataclass(frozen=True)
class Platform:
    home: Path
    url: str
    key: str
    port: int
    postgres_port: int
    psql: Path

    def call(self, method: str, path: str, body: object = None) -> dict:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        with urlopen(Request(f"{self.url}/v1/project{path}", data, headers, method=method)) as response:
            return json.load(response)

    def new_project(self, name: str) -> str:
        """The ID of a new project, once it is running."""
        project = self.call("POST", "/projects", {"name": name})["project_id"]
        while True:
            listed = self.call("GET", "/projects")["projects"]
            if any(one["project_id"] == project and one["status"] == "running" for one in listed):
                return project
            time.sleep(0.05)

    def new_database(self, name: str) -> str:
        """The URL of a new project's empty database."""
        return self.call("GET", f"/{self.new_project(name)}/credentials")["database_url"]


@contextmanager
def embedded_platform() -> Iterator[tuple[Platform, Path]]:
    """A running platform and a temporary folder for its data and the benchmark's; both are removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="mosaic-benchmark-"))
    home = root / "home"
    try:
        yield _start(home), root
    finally:
        subprocess.run(
            [sys.executable, "-m", "mosaic_deploy.platform", "reset"],
            env={**os.environ, "MOSAIC_HOME": str(home)}, capture_output=True, check=False,
        )  # fmt: skip
        shutil.rmtree(root, ignore_errors=True)


def _start(home: Path) -> Platform:
    command = [sys.executable, "-m", "mosaic_deploy.platform", "start"]
    environment = {**os.environ, "MOSAIC_HOME": str(home)}
    document = json.loads(
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    )
    folder = Path(json.loads((home / "state.json").read_text())["postgres_folder"])
    psql = next(folder.glob("installation-*/**/bin/psql"))
    return Platform(
        home, document["url"], document["api_key"], document["port"], document["postgres_port"], psql
    )


@dataclass(frozen=True)
class Measured:
    """A finished command: wall time, peak resident memory in bytes, requests that the platform logged."""

    seconds: float
    memory: int
    requests: int


class Bench:
    """Makes projects and measures commands that deploy them."""

    def __init__(self, platform: Platform, root: Path) -> None:
        self.platform = platform
        self.root = root
        self._log = platform.home / "platform.log"

    def project(self, name: str, section: str) -> tuple[str, Path]:
        """A new project's ID, and a folder with a manifest for it; `section` deploys the folder `files` in it."""
        project = self.platform.new_project(name)
        folder = self.root / name
        (folder / "files").mkdir(parents=True)
        manifest = f"version: 1\nproject: {{name: {name}, id: {project}}}\n{section}: {{dir: files}}\n"
        (folder / "mosaic.yaml").write_text(manifest)
        return project, folder

    def run(
        self, command: list[str | Path], port: int = 0, settings: dict[str, str] | None = None
    ) -> Measured:
        settings = {
            **(settings or {}),
            "MOSAIC_API_URL": f"http://127.0.0.1:{port or self.platform.port}",
            "MOSAIC_API_KEY": self.platform.key,
            "XDG_CACHE_HOME": str(self.root / "cache"),
        }
        before = self._requests()
        started = time.perf_counter()
        with (self.root / "output").open("wb") as output:
            child = subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=output)
            _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{command}: {(self.root / 'output').read_text()[-2000:]}")
        return Measured(seconds, usage.ru_maxrss * 1024, self._requests() - before)

    def mosaic_deploy(self, *arguments: str | Path, port: int = 0) -> Measured:
        return self.run([sys.executable, "-m", "mosaic_deploy", *arguments], port)

    def median_of(self, *arguments: str | Path, times: int = 5) -> Measured:
        return median([self.mosaic_deploy(*arguments) for _ in range(times)])

    def _requests(self) -> int:
        count = 0
        for file in self._log.parent.glob(f"{self._log.name}*"):  # the log is rotated
            with file.open("rb") as log:
                count += sum(b"/v1/project" in line or b" PUT /upload" in line for line in log)
        return count


def median(measured: list[Measured]) -> Measured:
    """The one whose time is in the middle."""
    return sorted(measured, key=lambda one: one.seconds)[len(measured) // 2]
