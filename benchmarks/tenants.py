"""A hostile tenant attacks a served platform while another one works: how long its requests take, with and without.

    python benchmarks/tenants.py [SECONDS] [ATTACK …]

Each attack lasts SECONDS (60 unless given). The good tenant sends `/sql` and uploads one after the other, as a deploy does; `/healthz` is
asked as a load balancer does. Everything runs on this machine, so the attacker has the lowest priority: it would have a machine
of its own. PostgreSQL and the workers still share the cores. Direct connections to PostgreSQL go through HAProxy, as
docs/self-hosting.md says. Needs haproxy on the PATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

_ROOT = Path(__file__).parents[1]
_TESTS = _ROOT / "tests"
sys.path[:0] = [
    str(each)
    for each in (_TESTS / "platform" / "cluster" / "self_hosting", _TESTS / "platform", _TESTS, _ROOT)
]

import guide  # noqa: E402
from served import DOMAIN, Served, Services, postgres_server, run, s3_service, serve  # noqa: E402

from mosaic_deploy.platform.machine.ports import free_port  # noqa: E402

MIB = 1 << 20
_PAUSE_SECONDS = 0.02
_CLIENTS_PORT = "TENANTS_CLIENTS_PORT"
"""Variable with the port at which clients reach PostgreSQL."""


@dataclass
class Target:
    """What the hostile tenant has: a key, a project, its credentials."""

    served: Served
    key: str
    project: str
    database_url: str
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.served.address.rpartition(":")[2])

    def client(self) -> httpx.Client:
        return self.served.client(self.key)

    def until_stopped(self, act: Callable[[], object], threads: int) -> None:
        """`act` again and again in so many threads. What it raises is the defence."""

        def repeat() -> None:
            while not self.stop.is_set():
                with contextlib.suppress(httpx.HTTPError, psycopg.Error, OSError):
                    act()
                self.stop.wait(0.001)

        running = [threading.Thread(target=repeat) for _ in range(threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()


def _sql(target: Target, text: str, threads: int) -> None:
    with target.client() as client:
        target.until_stopped(
            lambda: client.post(f"/v1/project/{target.project}/sql", json={"query": text}, timeout=120),
            threads,
        )


def sleepers(target: Target) -> None:
    """120 sleeping statements (SEC11)."""
    _sql(target, "SELECT pg_sleep(1)", 120)


def burners(target: Target) -> None:
    """40 statements that compute."""
    _sql(target, "SELECT count(*) FROM generate_series(1, 3000000)", 40)


def sessions(target: Target) -> None:
    """200 direct sessions, opened again as they end."""

    def hold() -> None:
        with psycopg.connect(target.database_url, connect_timeout=5) as connection:
            while not target.stop.wait(0.5):
                connection.execute("SELECT 1")

    target.until_stopped(hold, 200)


def locks(target: Target) -> None:
    """Advisory locks until the lock table is full (SEC8)."""

    def fill() -> None:
        with psycopg.connect(target.database_url, connect_timeout=5, autocommit=True) as connection:
            while not target.stop.wait(0.01):
                with contextlib.suppress(psycopg.errors.OutOfMemory):
                    connection.execute(
                        "SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000000) AS n"
                    )

    target.until_stopped(fill, 4)


def platform_locks(target: Target) -> None:
    """The platform's own advisory locks, in every database that lets the role in (SEC6)."""

    def hold() -> None:
        url = target.database_url.rpartition("/")[0] + "/postgres"
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(7700), pg_advisory_lock(7701)")
            while not target.stop.wait(0.5):
                connection.execute("SELECT 1")

    target.until_stopped(hold, 2)


def json_without_key(target: Target) -> None:
    """34 MiB of numbers to the verification of tokens, without a key (SEC7)."""
    body = b'{"token":[' + b"1," * (17 * MIB) + b"1]}"
    url = f"{target.served.address}/.mosaic/auth/verify"
    headers = {"Host": f"{target.project}.{DOMAIN}", "Content-Type": "application/json"}
    target.until_stopped(lambda: httpx.post(url, content=body, headers=headers, timeout=60), 4)


def large_sql(target: Target) -> None:
    """34 MiB of SQL text in each of several requests."""
    body = json.dumps({"query": "SELECT 1 -- " + "x" * (34 * MIB)}).encode()
    _posts(target, body)


def many_values(target: Target) -> None:
    """34 MiB of parameters, with a key."""
    _posts(target, b'{"query":"SELECT 1","params":[' + b"1," * (17 * MIB) + b"1]}")


def _posts(target: Target, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    with target.client() as client:
        target.until_stopped(
            lambda: client.post(
                f"/v1/project/{target.project}/sql", content=body, headers=headers, timeout=120
            ),
            8,
        )


def slow_heads(target: Target) -> None:
    """500 connections that send a byte of their head now and then."""
    with contextlib.ExitStack() as closing:
        opened = [closing.enter_context(_connected(target.port)) for _ in range(500)]
        while not target.stop.wait(1):
            for number, connection in enumerate(opened):
                try:
                    connection.sendall(b"G")
                except OSError:
                    with contextlib.suppress(OSError):
                        opened[number] = closing.enter_context(_connected(target.port))


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def slow_bodies(target: Target) -> None:
    """200 bodies that never end."""
    head = (
        f"POST /v1/project/{target.project}/sql HTTP/1.1\r\nHost: api.{DOMAIN}\r\nX-API-Key: {target.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {34 * MIB}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as closing:
        opened = [closing.enter_context(_connected(target.port)) for _ in range(200)]
        for connection in opened:
            connection.sendall(head)
        while not target.stop.wait(1):
            for number, connection in enumerate(opened):
                try:
                    connection.sendall(b" ")
                except OSError:
                    with contextlib.suppress(OSError):
                        opened[number] = closing.enter_context(_connected(target.port))
                        opened[number].sendall(head)


def verifications(target: Target) -> None:
    """Tokens to verify, without a key."""
    url = f"{target.served.address}/.mosaic/auth/verify"
    headers = {"Host": f"{target.project}.{DOMAIN}"}
    with httpx.Client(timeout=30) as client:
        body = {"token": "x", "email": "a@example.com"}
        target.until_stopped(lambda: client.post(url, json=body, headers=headers), 8)


def projects(target: Target) -> None:
    """Projects, created as fast as possible and deleted again (SRV3)."""
    with target.client() as client:

        def create() -> None:
            answer = client.post("/v1/project/projects", json={"name": "More"}, timeout=120)
            if answer.status_code == 403:
                for one in client.get("/v1/project/projects").json()["projects"]:
                    if one["project_id"] != target.project:
                        client.delete(f"/v1/project/projects/{one['project_id']}", timeout=120)
                        break

        target.until_stopped(create, 8)


ATTACKS = (
    sleepers, burners, sessions, locks, platform_locks, json_without_key, large_sql, many_values, slow_heads,
    slow_bodies, verifications, projects,
)  # fmt: skip


@dataclass
class Measured:
    """Seconds of each request, and the number that failed."""

    sql: list[float] = field(default_factory=list)
    uploads: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def measure(served: Served, key: str, project: str, seconds: float) -> Measured:
    measured = Measured()
    end = time.monotonic() + seconds
    with served.client(key) as client, httpx.Client(timeout=30) as balancer:
        while time.monotonic() < end:
            _timed(
                measured,
                measured.sql,
                lambda: client.post(f"/v1/project/{project}/sql", json={"query": "SELECT 1"}),
            )
            _timed(measured, measured.uploads, lambda: _upload(client, project))
            _timed(measured, measured.health, lambda: balancer.get(f"{served.address}/healthz"))
            time.sleep(_PAUSE_SECONDS)
    return measured


def _timed(measured: Measured, into: list[float], send: Callable[[], httpx.Response]) -> None:
    started = time.perf_counter()
    try:
        response = send()
        if not response.is_success:
            measured.failed.append(
                f"{response.request.url.path}: {response.status_code} {response.text[:160]}"
            )
    except httpx.HTTPError as error:
        measured.failed.append(repr(error))
    into.append(time.perf_counter() - started)


def _upload(client: httpx.Client, project: str) -> httpx.Response:
    asked = client.post(f"/v1/project/{project}/storage/upload", json={"filename": "a.bin", "size": 65536})
    if not asked.is_success:
        return asked
    url = urlsplit(asked.json()["upload_url"])
    return client.put(f"{url.path}?{url.query}", content=b"x" * 65536)


def p99(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


@contextlib.contextmanager
def _platform() -> Iterator[tuple[Services, Served]]:
    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url, s3_service(folder / "s3") as aws:
            smtp = {"MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com"}
            environment = {**os.environ, **aws, **smtp, "MOSAIC_DATABASE_URL": url}
            arguments = ("--store", "s3://mosaic", "--base-domain", f"http://{DOMAIN}")
            services = Services(environment, "", arguments)
            run(services, "prepare", *arguments)
            environment[_CLIENTS_PORT] = str(clients := free_port())
            limits = f"defaults\n    timeout connect 5s\n\n{guide.limited_clients(clients, urlsplit(url).port or 5432)}"
            with (folder / "log").open("wb") as log, contextlib.redirect_stderr(sys.stderr):
                os.dup2(log.fileno(), 2)
                with guide.run_haproxy(folder, limits, clients), serve(services, "--workers", "2") as served:
                    yield services, served


def _project(served: Served, key: str, name: str) -> str:
    with served.client(key) as client:
        project: str = client.post("/v1/project/projects", json={"name": name}).json()["project_id"]
        while client.get(f"/v1/project/{project}/credentials").status_code != 200:
            time.sleep(0.05)
    return project


def _attack(name: str, served: Served, key: str, seconds: float) -> None:
    """In this process, which is another one than the good tenant's."""
    project = _project(served, key, "Hostile")
    with served.client(key) as client:
        found = client.get(f"/v1/project/{project}/credentials").json()
    url = found["database_url"].replace(f":{found['port']}/", f":{os.environ[_CLIENTS_PORT]}/")
    target = Target(served, key, project, url)
    threading.Timer(seconds, target.stop.set).start()
    next(attack for attack in ATTACKS if attack.__name__ == name)(target)


def main() -> None:
    if sys.argv[1:2] == ["--attack"]:
        os.nice(19)
        _, _, name, address, key, seconds = sys.argv
        _attack(name, Served(address, subprocess.Popen(["true"], text=True)), key, float(seconds))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    chosen = [attack for attack in ATTACKS if not sys.argv[2:] or attack.__name__ in sys.argv[2:]]
    with _platform() as (services, served):
        key = run(services, "account-create", "Good", "--tier", "pro")["api_key"]
        project = _project(served, key, "Good")
        measure(served, key, project, 2)
        normal = measure(served, key, project, min(seconds, 20))
        print(f"without an attack: {_row(normal, normal)}")
        print("| attack | /sql p99 | upload p99 | /healthz p99 | failed |\n|---|---|---|---|---|", flush=True)
        for attack in chosen:
            hostile = run(services, "account-create", "Hostile", "--tier", "free")["api_key"]
            attacker = subprocess.Popen(
                [
                    sys.executable,
                    __file__,
                    "--attack",
                    attack.__name__,
                    served.address,
                    hostile,
                    str(seconds),
                ],
                env=services.environment,
            )
            try:
                found = measure(served, key, project, seconds)
            finally:
                attacker.kill()
                attacker.wait()
            print(f"| {(attack.__doc__ or '').rstrip('.')} | {_row(found, normal)} |", flush=True)
            for failure in dict.fromkeys(found.failed[:3]):
                print(f"    {failure}", flush=True)
            time.sleep(2)


def _row(found: Measured, normal: Measured) -> str:
    cells = [
        f"{1000 * p99(mine):.0f} ms ({p99(mine) / p99(theirs):.1f}×)"
        for mine, theirs in (
            (found.sql, normal.sql), (found.uploads, normal.uploads), (found.health, normal.health),
        )
    ]  # fmt: skip
    total = len(found.sql) + len(found.uploads) + len(found.health)
    return " | ".join([*cells, f"{len(found.failed)} of {total}"])


if __name__ == "__main__":
    main()
