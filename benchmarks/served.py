"""A served platform under a bounded load, with one worker and with several: requests a second, and how long they take.

    python benchmarks/served.py [SECONDS]

PostgreSQL (Debian's), the S3 service (SeaweedFS), the workers and the load all run on this one machine, so more
workers than it has cores left show nothing.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

sys.path[:0] = [
    str(Path(__file__).parents[1] / "tests" / "platform"),
    str(Path(__file__).parents[1] / "tests"),
]

from served import DOMAIN, Served, Services, postgres_server, run, s3_service, serve  # noqa: E402

CLIENTS = 8
Operation = Callable[[httpx.Client, str, int], httpx.Response]


def select(client: httpx.Client, project: str, _: int) -> httpx.Response:
    return client.post(f"/v1/project/{project}/sql", json={"query": "SELECT 1"})


def put_static(client: httpx.Client, project: str, number: int) -> httpx.Response:
    body = {"filename": f"{number % 50}.txt", "content": "x" * 4096}
    return client.post(f"/v1/project/{project}/files", json=body)


def get_static(client: httpx.Client, project: str, number: int) -> httpx.Response:
    return client.get(f"/{number % 5}.txt", headers={"Host": f"{project}.{DOMAIN}"})


def put_object(client: httpx.Client, project: str, number: int) -> httpx.Response:
    body = {"filename": f"{number % 50}.bin", "size": 1 << 20}
    url = urlsplit(client.post(f"/v1/project/{project}/storage/upload", json=body).json()["upload_url"])
    return client.put(f"{url.path}?{url.query}", content=b"x" * (1 << 20))


def get_object(client: httpx.Client, project: str, number: int) -> httpx.Response:
    return client.get(f"/storage/{number % 5}.bin", headers={"Host": f"{project}.{DOMAIN}"})


OPERATIONS: dict[str, Operation] = {
    "`/sql`, `SELECT 1`": select,
    "`POST /files`, 4 KB": put_static,
    "static file, 4 KB": get_static,
    "upload, 1 MiB": put_object,
    "download, 1 MiB": get_object,
}


def measure(served: Served, key: str, project: str, operation: Operation, seconds: float) -> str:
    taken: list[float] = []
    numbers, end = itertools.count(), time.monotonic() + seconds

    def load() -> None:
        with served.client(key) as client:
            while (begun := time.monotonic()) < end:
                operation(client, project, next(numbers)).raise_for_status()
                taken.append(time.monotonic() - begun)

    threads = [threading.Thread(target=load) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(taken, n=100)
    return f"{len(taken) / seconds:.0f}/s, {1000 * cuts[49]:.0f} / {1000 * cuts[98]:.0f} ms"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url, s3_service(folder / "s3") as aws:
            mail = {"MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com"}
            environment = {**os.environ, **aws, **mail, "MOSAIC_DATABASE_URL": url}
            arguments = ("--store", "s3://mosaic", "--base-domain", f"http://{DOMAIN}")
            services = Services(environment, "", arguments)
            key = run(services, "account-create", "Load", "--tier", "pro")["api_key"]
            columns = [_column(services, key, workers, seconds) for workers in (1, 2)]
    print("| operation | 1 worker | 2 workers |\n|---|---|---|")
    for place, name in enumerate(OPERATIONS):
        print(f"| {name} | " + " | ".join(column[place] for column in columns) + " |")


def _column(services: Services, key: str, workers: int, seconds: float) -> list[str]:
    with serve(services, "--workers", str(workers)) as served, served.client(key) as client:
        begun = time.monotonic()
        project = client.post("/v1/project/projects", json={"name": "Load"}).json()["project_id"]
        while client.get(f"/v1/project/{project}/credentials").status_code != 200:
            time.sleep(0.01)
        print(f"{workers} workers: a project in {1000 * (time.monotonic() - begun):.0f} ms", file=sys.stderr)
        for number in range(50):
            put_static(client, project, number)
            put_object(client, project, number)
        return [measure(served, key, project, one, seconds) for one in OPERATIONS.values()]


if __name__ == "__main__":
    main()
