"""Dumps with many COPY rows as a first migration: time and memory by size, compared with psql in the same run.

python benchmarks/dumps.py [MEGABYTES …]
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from bench import Bench, Measured, embedded_platform

_HEAD = """--
-- PostgreSQL database dump
--

CREATE TABLE public.notes (id integer NOT NULL, title text, body text);

COPY public.notes (id, title, body) FROM stdin;
"""
_TAIL = "\\.\n\nALTER TABLE ONLY public.notes ADD CONSTRAINT notes_pkey PRIMARY KEY (id);\n"


def write_dump(path: Path, megabytes: int) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        for number in itertools.count(1):
            if number % 1000 == 0 and file.tell() >= megabytes * 1_000_000:
                break
            file.write(f"{number}\tNöte {number * 7919 % 1_000_003}\tsome \\n text {'x' * (number % 80)}\n")
        file.write(_TAIL)


def measure(bench: Bench, megabytes: int) -> dict[str, Measured]:
    name = f"dump-{megabytes}"
    project, folder = bench.project(name, "static")
    (folder / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: {name}, id: {project}}}\ndatabase: {{migrations: sql}}\n"
    )
    dump = folder / "sql/0001_dump.sql"
    write_dump(dump, megabytes)
    url = bench.platform.new_database(f"{name}-psql")
    return {
        "psql": bench.run([bench.platform.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, url]),
        "mosaic-deploy plan": bench.mosaic_deploy("plan", folder),
        "mosaic-deploy apply": bench.mosaic_deploy("apply", "--yes", folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megabytes", nargs="*", type=int, default=[1, 10, 100], help="sizes of the dumps")
    sizes: list[int] = parser.parse_args().megabytes
    print(
        "| dump | command | seconds | compared with psql | memory | requests |\n|---:|---|---:|---:|---:|---:|"
    )
    with embedded_platform() as (platform, root):
        bench = Bench(platform, root)
        for size in sizes:
            results = measure(bench, size)
            for name, one in results.items():
                ratio = one.seconds / results["psql"].seconds
                print(
                    f"| {size} MB | {name} | {one.seconds:.2f} | {ratio:.1f}× | {one.memory >> 20} MB | {one.requests} |"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
