"""What it costs to rehearse one pending migration, after histories of 10 to 800 files.

    python benchmarks/rehearsal.py

The target counts as a distant platform, so rehearsals have one of their own. It starts in the first rehearsal, with
everything to unpack. Each history is one project; its base is built in its first rehearsal and only copied afterwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench import Bench, Measured, embedded_platform

COUNTS = (10, 100, 800)
_PAIRS = 5
_PENDING = "ALTER TABLE t1 ALTER price TYPE numeric(12, 2);\nCREATE INDEX ON t1 (price);\n"


def measure(bench: Bench) -> None:
    folder = deployed(bench, "cold", 1)
    without, first = plan(bench, folder, rehearse=False), plan(bench, folder, rehearse=True)
    print(
        f"With everything to start: {first.seconds:.2f} s, {first.seconds - without.seconds:.2f} s more than without.\n"
    )
    print("| files | no rehearsal | its first | more | later ones | more | memory of `plan` |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for count in COUNTS:
        folder = deployed(bench, f"history-{count}", count)
        without, first = plan(bench, folder, rehearse=False), plan(bench, folder, rehearse=True)
        pairs = [
            (plan(bench, folder, rehearse=False), plan(bench, folder, rehearse=True)) for _ in range(_PAIRS)
        ]
        later = statistics.median(rehearsed.seconds for _, rehearsed in pairs)
        more = statistics.median(rehearsed.seconds - plain.seconds for plain, rehearsed in pairs)
        memory = max(rehearsed.memory for _, rehearsed in pairs) / 1e6
        print(
            f"| {count} | {without.seconds:.2f} s | {first.seconds:.2f} s | {first.seconds - without.seconds:.2f} s | "
            f"{later:.2f} s | {more:.2f} s | {memory:.0f} MB |"
        )


def plan(bench: Bench, folder: Path, *, rehearse: bool) -> Measured:
    return bench.mosaic_deploy("plan", "--rehearse" if rehearse else "--no-rehearse", folder)


def deployed(bench: Bench, name: str, count: int) -> Path:
    """The folder of a project with `count` applied migrations and one that is pending."""
    _, folder = bench.project(name, "static")
    (folder / "sql").mkdir()
    for n in range(1, count + 1):
        (folder / f"sql/{n:04d}_table.sql").write_text(
            f"CREATE TABLE t{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price numeric(10, 2) CHECK (price > 0));\n"
            f"CREATE INDEX ON t{n} (price);\nINSERT INTO t{n} (price) VALUES ({n});\n"
        )
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("database: {migrations: sql}\n")
    bench.mosaic_deploy("apply", "--yes", "--no-rehearse", folder)
    (folder / "sql/9999_pending.sql").write_text(_PENDING)
    return folder


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with embedded_platform() as (platform, root):
        try:
            measure(Bench(platform, root))
        finally:
            for home in (root / "cache").glob("**/rehearsals"):
                subprocess.run(
                    [sys.executable, "-m", "mosaic_deploy.platform", "reset"],
                    env={**os.environ, "MOSAIC_HOME": str(home)}, capture_output=True, check=False,
                )  # fmt: skip


if __name__ == "__main__":
    main()
