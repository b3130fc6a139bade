"""A self-hosted platform under load, with one worker and with two: requests per second, and how long they take.

    python benchmarks/served.py [SECONDS]

Debian's PostgreSQL, SeaweedFS, the workers and the load generator all run on this machine, so more workers than free
cores show no gain.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).parents[1] / "tests" / "platform"),
    str(Path(__file__).parents[1] / "tests"),
]

from load import CLIENTS, apply_load  # noqa: E402
from operations import prepare_requests  # noqa: E402
from served import DOMAIN, Services, postgres_server, run, s3_service, serve  # noqa: E402


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url, s3_service(folder / "s3") as aws:
            smtp = {"MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com"}
            environment = {**os.environ, **aws, **smtp, "MOSAIC_DATABASE_URL": url}
            arguments = ("--store", "s3://mosaic", "--base-domain", f"http://{DOMAIN}")
            services = Services(environment, "", arguments)
            key = run(services, "account-create", "Load", "--tier", "pro")["api_key"]
            columns = [_column(services, key, workers, seconds) for workers in (1, 2)]
    print(f"{CLIENTS} clients", file=sys.stderr)
    print("| operation | 1 worker | 2 workers |\n|---|---|---|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")


def _column(services: Services, key: str, workers: int, seconds: float) -> dict[str, str]:
    with serve(services, "--workers", str(workers)) as served, served.client(key) as client:
        started = time.monotonic()
        project = client.post("/v1/project/projects", json={"name": "Load"}).json()["project_id"]
        while client.get(f"/v1/project/{project}/credentials").status_code != 200:
            time.sleep(0.01)
        print(
            f"{workers} workers: project created in {1000 * (time.monotonic() - started):.0f} ms",
            file=sys.stderr,
        )
        port = int(served.address.rpartition(":")[2])
        api = {"Host": f"api.{DOMAIN}", "X-API-Key": key}
        operations = prepare_requests(client, project, f"{project}.{DOMAIN}", api)
        return {name: str(apply_load(port, requests, seconds)) for name, requests in operations.items()}


if __name__ == "__main__":
    main()
