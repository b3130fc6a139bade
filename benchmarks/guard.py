"""What it costs to measure the effects of each step, in databases of 10 to 3,000 tables.

    python benchmarks/guard.py

The same 100 migrations run twice: on tables without rows, where nothing is measured, and on tables with a row each. Each
migration adds a column, builds an index and updates the row. The floor is the first of the two, in the same database.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import Bench, embedded_platform

COUNTS = (10, 100, 1_000, 3_000)
STEPS = 100


def measure(bench: Bench) -> None:
    print("| tables | 100 steps on empty tables | on tables with rows | a step more | ratio |")
    print("|---:|---:|---:|---:|---:|")
    for count in COUNTS:
        empty, filled = (seconds(bench, count, rows=rows) for rows in (False, True))
        more = (filled - empty) / STEPS * 1000
        print(f"| {count:,} | {empty:.2f} s | {filled:.2f} s | {more:.1f} ms | {filled / empty:.2f} |")


def seconds(bench: Bench, count: int, *, rows: bool) -> float:
    """The seconds of an apply of STEPS migrations."""
    _, folder = bench.project(f"guard-{count}-{rows}", "static")
    (folder / "sql").mkdir()
    fill = "INSERT INTO t{n} (id) VALUES (1);" if rows else ""
    tables = (
        f"CREATE TABLE t{n} (id int PRIMARY KEY, a text, b int, c timestamptz, d numeric);\n{fill.format(n=n)}\n"
        f"CREATE FUNCTION f{n}() RETURNS int LANGUAGE sql AS 'SELECT {n}';"
        for n in range(count)
    )
    (folder / "sql/1_tables.sql").write_text("\n".join(tables))
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("database: {migrations: sql}\n")
    bench.mosaic_deploy("apply", "--yes", folder)
    write_steps(folder, count)
    return bench.mosaic_deploy("apply", "--yes", folder).seconds


def write_steps(folder: Path, count: int) -> None:
    for step in range(STEPS):
        n = step % count
        (folder / f"sql/{step + 2:04d}_step.sql").write_text(
            f"ALTER TABLE t{n} ADD COLUMN e{step} int;\nCREATE INDEX ON t{n} (e{step});\n"
            f"UPDATE t{n} SET b = {step} WHERE id = 1;\n"
        )


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with embedded_platform() as (platform, root):
        measure(Bench(platform, root))


if __name__ == "__main__":
    main()
