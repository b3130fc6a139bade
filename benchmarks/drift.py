"""What it costs to find schema drift, in databases of 10 to 10,000 relations.

    python benchmarks/drift.py

Each table has an identity column, a default, a check, a foreign key, an index, a comment and a grant; every fifth also a
view, a function and a policy. Tables, indexes, sequences and views count as relations. The times include the request to the
embedded platform.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from bench import Bench, embedded_platform

COUNTS = (10, 1_000, 10_000)
_RELATIONS_PER_TABLE = 4.2
_TABLES_PER_FILE = 200
_TIMES = 5
_TIME_QUERIES = """
import json, statistics, sys, time
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.read import ledger_query
from mosaic_deploy.live.ledger.schema_record import OBJECTS, begin_schema_change_sql, record_schema_sql
url, key, project, times = sys.argv[1:]
def milliseconds(query):
    found = []
    for _ in range(int(times)):
        started = time.perf_counter()
        api.sql(project, query)
        found.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(found))
lease = "INSERT INTO mosaic_deploy.lease (holder, token, acquired_at, expires_at) VALUES ('b', 'b', now(), 'infinity')"
with Api(url, ApiKey(key)) as api:
    plain, compared = milliseconds(ledger_query({})), milliseconds(ledger_query({}, compare_schema=True))
    api.sql(project, "ALTER TABLE t1 ADD by_hand int; CREATE TABLE by_hand (id int)")
    drifted = milliseconds(ledger_query({}, compare_schema=True))
    api.sql(project, lease)
    begun = milliseconds(begin_schema_change_sql("b", "b"))
    recorded = milliseconds(record_schema_sql("b", "b"))
    [size] = api.sql(project, "SELECT length(value::text) AS text, pg_column_size(value) AS stored "
        f"FROM mosaic_deploy.settings WHERE name = '{OBJECTS}'")
print(json.dumps([plain, compared, drifted, begun, recorded, size["text"], size["stored"]]))
"""


def migration(tables: range) -> str:
    """These tables as one file."""
    return "\n".join(
        f"CREATE TABLE t{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT 'x', "
        f"price numeric(10, 2) CHECK (price > 0), at timestamptz DEFAULT now(), "
        f"other bigint REFERENCES t{max(1, n - 1)});\n"
        f"CREATE INDEX ON t{n} (name);\nCOMMENT ON TABLE t{n} IS 'number {n}';\nGRANT SELECT ON t{n} TO PUBLIC;\n"
        + (
            f"CREATE VIEW v{n} AS SELECT id, name FROM t{n} WHERE price > 3;\n"
            f"CREATE FUNCTION f{n}(a int) RETURNS int LANGUAGE sql AS 'SELECT a + {n}';\n"
            f"ALTER TABLE t{n} ENABLE ROW LEVEL SECURITY;\nCREATE POLICY seen ON t{n} USING (id > 0);\n"
            if n % 5 == 0
            else ""
        )
        for n in tables
    )


def measure(bench: Bench) -> None:
    print(
        "| relations | tables | the query of a plan without it | with it | with drift | begin | record | the schema | stored | "
        "plan, nothing changed | requests |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for count in COUNTS:
        tables = round(count / _RELATIONS_PER_TABLE)
        project, folder = bench.project(f"drift-{count}", "static")
        deploy(bench, folder, tables)
        plans = [bench.mosaic_deploy("plan", folder) for _ in range(_TIMES)]
        command = [
            sys.executable,
            "-c",
            _TIME_QUERIES,
            bench.platform.url,
            bench.platform.key,
            project,
            str(_TIMES),
        ]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        *times, text, stored = map(int, printed.strip("[]\n").split(", "))
        shown = " | ".join(f"{each} ms" for each in times)
        seconds = statistics.median(each.seconds for each in plans)
        print(
            f"| {count:,} | {tables:,} | {shown} | {text / 1000:,.0f} kB | {stored / 1000:,.0f} kB | {seconds:.2f} s | "
            f"{plans[-1].requests} |"
        )


def deploy(bench: Bench, folder: Path, tables: int) -> None:
    (folder / "sql").mkdir()
    for number, first in enumerate(range(1, tables + 1, _TABLES_PER_FILE), 1):
        last = min(tables, first + _TABLES_PER_FILE - 1)
        (folder / f"sql/{number}_tables.sql").write_text(migration(range(first, last + 1)))
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("database: {migrations: sql}\n")
    bench.mosaic_deploy("apply", "--yes", folder)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with embedded_platform() as (platform, root):
        measure(Bench(platform, root))


if __name__ == "__main__":
    main()
