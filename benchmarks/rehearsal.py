"""What it costs to rehearse one pending migration, after histories of 10 to 800 files.

    python benchmarks/rehearsal.py [FILES ...]

The target counts as a distant platform, so rehearsals have one of their own. It starts in the first rehearsal, with
everything to unpack. Each history is one project; its base is built in its first rehearsal and only copied afterwards.
The platform makes the copy for a later rehearsal in advance, so they are measured after a pause and without one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import Bench, Measured, embedded_platform

COUNTS = (10, 100, 800)
_PAIRS = 5
_PAUSE_SECONDS = 5.0
"""In which a person reads a plan, and the platform copies a base."""
_PENDING = "ALTER TABLE t1 ALTER price TYPE numeric(12, 2);\nCREATE INDEX ON t1 (price);\n"


def measure(bench: Bench, counts: Sequence[int]) -> None:
    folder = deployed(bench, "cold", 1)
    without, first = plan(bench, folder, rehearse=False), plan(bench, folder, rehearse=True)
    print(
        f"With everything to start: {first.seconds:.2f} s, {first.seconds - without.seconds:.2f} s more than without.\n"
    )
    print(
        "| files | no rehearsal | its first | more | later ones | more | without a pause | more | memory of `plan` |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for count in counts:
        folder = deployed(bench, f"history-{count}", count)
        without, first = plan(bench, folder, rehearse=False), plan(bench, folder, rehearse=True)
        later = [pair(bench, folder, _PAUSE_SECONDS) for _ in range(_PAIRS)]
        at_once = [pair(bench, folder, 0) for _ in range(_PAIRS)]
        memory = max(rehearsed.memory for _, rehearsed in later) / 1e6
        print(
            f"| {count} | {without.seconds:.2f} s | {first.seconds:.2f} s | {first.seconds - without.seconds:.2f} s | "
            f"{shown(later)} | {shown(at_once)} | {memory:.0f} MB |"
        )


def pair(bench: Bench, folder: Path, pause: float) -> tuple[Measured, Measured]:
    """A plan without a rehearsal and one with it, `pause` seconds after the last rehearsal."""
    time.sleep(pause)
    return plan(bench, folder, rehearse=False), plan(bench, folder, rehearse=True)


def shown(pairs: Sequence[tuple[Measured, Measured]]) -> str:
    seconds = statistics.median(rehearsed.seconds for _, rehearsed in pairs)
    more = statistics.median(rehearsed.seconds - plain.seconds for plain, rehearsed in pairs)
    return f"{seconds:.2f} s | {more:.2f} s"


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=int, nargs="*", default=COUNTS)
    counts = parser.parse_args().files
    # Under CI no copy is made in advance.
    os.environ.pop("CI", None)
    with embedded_platform() as (platform, root):
        try:
            measure(Bench(platform, root), counts)
        finally:
            for home in (root / "cache").glob("**/rehearsals"):
                subprocess.run(
                    [sys.executable, "-m", "mosaic_deploy.platform", "reset"],
                    env={**os.environ, "MOSAIC_HOME": str(home)}, capture_output=True, check=False,
                )  # fmt: skip


if __name__ == "__main__":
    main()
