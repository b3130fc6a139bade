"""A plan without changes for a project with 10,000 to 1,000,000 deployed files.

    python benchmarks/ledger.py

The folder isn't read: the desired files are made up, and the ledger and the platform's records are filled with SQL.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys

from bench import Bench, Platform, embedded_platform

SUPERUSER = "mosaic"
COUNTS = (10_000, 100_000, 1_000_000)
_PLAN = """
import resource, sys, time
from mosaic_deploy.diff.plan import PlanRules, make_plan
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.read import ledger_query
from mosaic_deploy.live.snapshot import read_live
from mosaic_deploy.model.snapshot import Object, Project, Snapshot, objects_digest
url, key, project, count = sys.argv[1:]
files = {}
for n in range(int(count)):
    path = f"folder-{n % 1000}/file-{n:07}.txt"
    files[path] = Object(path, f"{n:064x}", 600)
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
before = memory()
desired = Snapshot(Project(project, "ledger"), static=files)
with Api(url, ApiKey(key)) as api:
    started = time.perf_counter()
    api.sql(project, ledger_query({"static": objects_digest(files)}))
    query_seconds = time.perf_counter() - started
    started = time.perf_counter()
    live = read_live(api, desired.project, desired)
    plan = make_plan(desired, live.snapshot, PlanRules())
    seconds = time.perf_counter() - started
    assert not plan.changes, plan.changes[:3]
    print(f"{query_seconds:.2f} {seconds:.2f} {before:.0f} {memory():.0f} {api.traffic.requests - 1}")
"""


def measure(bench: Bench) -> None:
    print("\n### A plan without changes, many deployed files\n")
    print("| files | digest | the query alone | the plan | memory before | with the plan | requests |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for count in COUNTS:
        project, folder = bench.project(f"ledger-{count}", "static")
        (folder / "files/first.txt").write_text("x")
        bench.mosaic_deploy("apply", "--yes", folder)
        fill(bench, project, count)
        for digest in ("computed", "stored"):
            print_plan(bench, project, count, digest)
            if digest == "computed":
                store_digest(bench, project, count)


def print_plan(bench: Bench, project: str, count: int, digest: str) -> None:
    command = [
        sys.executable, "-c", _PLAN, bench.platform.url, bench.platform.key, project, str(count),
    ]  # fmt: skip
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    query_seconds, seconds, before, after, requests = printed
    print(
        f"| {count:,} | {digest} | {query_seconds} s | {seconds} s | {before} MB | {after} MB | {requests} |"
    )


def fill(bench: Bench, project: str, count: int) -> None:
    """The ledger's rows and the platform's records that `count` deployed files leave."""
    series = f"generate_series(0, {count - 1}) n"
    path = "'folder-' || n % 1000 || '/file-' || lpad(n::text, 7, '0') || '.txt'"
    rows = (
        "DELETE FROM mosaic_deploy.objects; INSERT INTO mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id)"
        f" SELECT 'static', {path}, lpad(to_hex(n), 64, '0'), 600, 'live', 'd' FROM {series}; ANALYZE mosaic_deploy.objects"
    )
    bench.platform.call("POST", f"/{project}/sql", {"query": rows})
    psql = [bench.platform.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", control_url(bench.platform), "-c"]
    records = (
        f"DELETE FROM static_file WHERE project_id = '{project}'; INSERT INTO static_file (project_id, filename, size,"
        f" content_type, etag, object) SELECT '{project}', {path}, 600, 'text/plain', 'e', 'o' FROM {series}"
    )
    subprocess.run([*psql, records], check=True, capture_output=True)


def store_digest(bench: Bench, project: str, count: int) -> None:
    """As the last deploy would have stored it."""
    paths = sorted((f"folder-{n % 1000}/file-{n:07}.txt", n) for n in range(count))
    digest = hashlib.sha256()
    for path, n in paths:
        digest.update(f"{path}\n{n:064x}\n600\nlive\n".encode())
    query = f"UPDATE mosaic_deploy.sums SET sum = '{digest.hexdigest()}' WHERE kind = 'static'"
    bench.platform.call("POST", f"/{project}/sql", {"query": query})


def control_url(platform: Platform) -> str:
    state = json.loads((platform.home / "state.json").read_text())
    password = state.get("postgres_password", "")
    return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{platform.postgres_port}/mosaic_control"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with embedded_platform() as (platform, root):
        measure(Bench(platform, root))


if __name__ == "__main__":
    main()
