"""docs/self-hosting.md, executed: PostgreSQL, SeaweedFS and HAProxy as the page configures them, a fault drill under load
behind the load balancer, then backup and restore.

Nothing that was acknowledged may be lost, and no row may be written twice.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import guide
import httpx
import psycopg
import pytest
from guide import Postgres, block, commands, program
from served import Served, Services, children, postgres_programs, query, run, s3_service, serve, unprivileged
from served_requests import await_running, wait_until
from writer import Writer

from mosaic_deploy.platform.machine.ports import free_port

pytestmark = pytest.mark.timeout(280)

DOMAIN = "mosaic.example.com"
URL = "MOSAIC_DATABASE_URL"
_PASSWORD = "for_one_test_run"


@dataclass
class Site:
    """What the page sets up: `services` is the environment of the commands, `clients` go through the load balancer."""

    folder: Path
    postgres: Postgres
    postgres_port: int
    services: Services
    https: int
    pem: Path
    ports: list[int]
    limited_port: int
    key: str

    def client(self, key: str) -> httpx.Client:
        """Trusts the certificate; the name is resolved here."""
        context = ssl.create_default_context(cafile=str(self.pem))
        transport = _ToLoopback(verify=context)
        headers = {"Host": f"api.{DOMAIN}", "X-API-Key": key}
        url = f"https://127.0.0.1:{self.https}"
        return httpx.Client(base_url=url, headers=headers, timeout=60, transport=transport)


class _ToLoopback(httpx.HTTPTransport):
    """The TLS name comes from the Host header, as if DNS led to the load balancer."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = request.headers["Host"]
        return super().handle_request(request)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    for name, package in (("haproxy", "haproxy"), ("openssl", "openssl"), ("rclone", "rclone")):
        program(name, package)
    with tempfile.TemporaryDirectory(prefix="mosaic-guide-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        aws = stack.enter_context(s3_service(folder / "s3"))
        port = free_port()
        postgres = _new_postgres(folder / "postgres", port)
        stack.callback(postgres.stop, signal.SIGQUIT)
        superuser = f"postgresql://root:{_PASSWORD}@127.0.0.1:{port}/postgres"
        for statement in _statements(block("sql", "CREATE ROLE operator")):
            query(superuser, statement.replace("…", _PASSWORD))
        query(superuser, f"CREATE ROLE backup LOGIN REPLICATION PASSWORD '{_PASSWORD}'")
        services = Services(
            {
                **os.environ,
                **aws,
                "MOSAIC_DATABASE_URL": superuser.replace("//root", "//operator"),
                "MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com",
            },
            "s3://bucket/live",
            ("--store", "s3://bucket/live", "--base-domain", DOMAIN),
        )
        pem, ports = guide.certificate(folder, DOMAIN), [free_port(), free_port()]
        https, limited = free_port(), free_port()
        stack.enter_context(guide.haproxy(folder, free_port(), https, pem, ports, limited, port))
        key = run(services, "account-create", "Ann's team", "--tier", "pro")["api_key"]
        yield Site(folder, postgres, port, services, https, pem, ports, limited, key)


def _new_postgres(folder: Path, port: int) -> Postgres:
    folder.mkdir()
    (folder / "password").write_text(_PASSWORD)
    (folder / "password").chmod(0o644)
    own = unprivileged()
    if own:
        os.chown(folder, own["user"], own["group"])
    subprocess.run(
        [postgres_programs() / "initdb", "-D", "data", "-U", "root", "--pwfile", "password", "-A", "scram-sha-256",
         "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, **own,
    )  # fmt: skip
    postgres = Postgres(folder, port)
    postgres.start()
    return postgres


def _statements(text: str) -> list[str]:
    return [one for one in re.sub(r"--.*", "", text).split(";") if one.strip()]


@contextmanager
def _server(site: Site, number: int, log: Path) -> Iterator[Served]:
    options = ("--workers", "2", "--trusted-proxies", "127.0.0.1")
    with serve(site.services, *options, log=log, port=site.ports[number]) as served:
        yield served


class Through:
    """Looks like a server to the tests' writer: its clients go through the load balancer."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def client(self, key: str) -> httpx.Client:
        return self._site.client(key)


@contextmanager
def _stopped_store() -> Iterator[None]:
    """SeaweedFS accepts connections, but answers nothing."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    )
    (pid,) = [int(line.split()[0]) for line in listed.stdout.splitlines() if line.split()[1] == "weed"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _create(client: httpx.Client, name: str) -> str:
    created = client.post("/v1/project/projects", json={"name": name})
    assert created.status_code == 201, created.text
    await_running(client, created.json()["project_id"])
    return str(created.json()["project_id"])


def _read(client: httpx.Client, project_id: str, path: str) -> httpx.Response:
    return client.get(path, headers={"Host": f"{project_id}.{DOMAIN}"})


def _differences(client: httpx.Client, project_id: str, writer: Writer) -> list[str]:
    """What was acknowledged and isn't there, and rows that are there twice."""
    wrong = [
        name
        for name, content in writer.files.items()
        if _read(client, project_id, f"/{name}").content != content
    ]
    for name, content in writer.objects.items():
        if _read(client, project_id, f"/storage/{name}").content != content:
            wrong.append(name)
    response = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT n FROM seen"})
    rows = [row["n"] for row in response.json()["rows"]]
    wrong += [f"row {n} is missing" for n in writer.rows - set(rows)]
    if len(rows) != len(set(rows)):
        wrong.append("rows are there twice")
    return wrong


def test_nothing_acknowledged_is_lost_whatever_fails(site, tmp_path) -> None:
    """Load through the load balancer, while workers are killed, servers stopped, and PostgreSQL restarted."""
    with ExitStack() as stack:
        logs = [tmp_path / "one.log", tmp_path / "two.log"]
        running = [stack.enter_context(_server(site, number, logs[number])) for number in range(2)]
        client = stack.enter_context(site.client(site.key))
        wait_until(lambda: client.get("/v1/project").status_code == 200)
        project_id = _create(client, "Drill")
        client.post(
            f"/v1/project/{project_id}/sql", json={"query": "CREATE TABLE seen (n bigint)"}
        ).raise_for_status()
        writer = Writer([Through(site)], site.key, project_id)

        def go_on() -> None:
            """Until so much was written after a fault that it is over."""
            before = len(writer.rows)
            wait_until(lambda: len(writer.rows) > before + 15)

        with ThreadPoolExecutor(4) as threads:
            work = [threads.submit(writer.run, number) for number in range(4)]
            try:
                go_on()
                os.kill(children(running[0].process.pid)[0], signal.SIGKILL)
                go_on()
                for number in (signal.SIGINT, signal.SIGQUIT):
                    site.postgres.stop(number)
                    for one in running:
                        assert httpx.get(f"{one.address}/healthz", timeout=30).status_code == 200
                    site.postgres.start()
                    go_on()
                with _stopped_store():
                    for one in running:
                        assert httpx.get(f"{one.address}/healthz", timeout=30).status_code == 200
                    selected = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT 1"})
                    assert selected.status_code == 200
                go_on()
                running[0].process.terminate()
                running[0].process.wait(60)
                go_on()
                stack.enter_context(_server(site, 0, logs[0]))
                go_on()
                running[1].process.kill()
                go_on()
            finally:
                writer.stop.set()
            for one in work:
                one.result()
        assert writer.files
        assert writer.objects
        assert _differences(client, project_id, writer) == []
        # A crash of PostgreSQL may lose the reservation of an upload, which then fails.
        expected = {"database_unavailable", "store_unavailable", "platform_stopping", "upload_lost", ""}
        assert expected >= {(re.search(r'"code": ?"(\w+)"', text) or ("", ""))[1] for text in writer.refused}
        # As the page grants the operator.
        assert "doesn't allow the platform to set" not in "".join(log.read_text() for log in logs)


def test_a_request_that_a_killed_server_had_isnt_sent_to_another(site, tmp_path) -> None:
    with ExitStack() as stack:
        running = [stack.enter_context(_server(site, number, tmp_path / f"{number}")) for number in range(2)]
        client = stack.enter_context(site.client(site.key))
        wait_until(lambda: client.get("/v1/project").status_code == 200)
        project_id = _create(client, "Once")
        sql = f"/v1/project/{project_id}/sql"
        client.post(sql, json={"query": "CREATE TABLE once (n int)"}).raise_for_status()
        statement = "INSERT INTO once VALUES (1); COMMIT; SELECT pg_sleep(60)"
        control = site.services.environment["MOSAIC_DATABASE_URL"]
        active = f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{statement[:20]}%' AND state = 'active'"
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(client.post, sql, json={"query": statement})
            wait_until(lambda: bool(query(control, active)))
            # One of the two servers has it. If that is gone, the other must not get it.
            for one in running:
                workers = children(one.process.pid)
                for pid in workers:
                    os.kill(pid, signal.SIGKILL)
                wait_until(lambda one=one, workers=workers: _are_replaced(one, workers))
            # Without an answer of its own, HAProxy closes the client's connection, or answers 502.
            with suppress(httpx.RemoteProtocolError):
                assert asked.result().status_code in (502, 503)
        wait_until(lambda: client.get("/v1/project").status_code == 200)
        assert client.post(sql, json={"query": "SELECT count(*) FROM once"}).json()["rows"] == [{"count": 1}]


def test_connections_to_the_database_are_limited_per_address(site) -> None:
    url = site.services.environment[URL]
    limited = url.replace(f":{site.postgres_port}/", f":{site.limited_port}/") + "?connect_timeout=3"
    assert query(limited, "SELECT 1") == [(1,)]
    for _ in range(300):
        with suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", site.limited_port), 5).close()
    with pytest.raises(psycopg.OperationalError):
        query(limited, "SELECT 1")
    assert query(url, "SELECT 1") == [(1,)]


def test_the_log_has_the_address_of_the_load_balancers_client(site, tmp_path) -> None:
    log = tmp_path / "log"
    with _server(site, 0, log), site.client(site.key) as client:
        wait_until(lambda: client.get("/v1/project").status_code == 200)
        # What the client claims is not believed.
        answered = client.get("/v1/project", headers={"X-Forwarded-For": "203.0.113.5"})
        request_id = answered.headers["X-Request-Id"]
        wait_until(lambda: request_id in log.read_text())
        (line,) = [line for line in log.read_text().splitlines() if request_id in line]
        # The tests' client is on the same machine as the trusted proxy, so the last address of another is the claim.
        assert '"client": "' in line
    assert "healthz" not in log.read_text()


def test_a_backup_under_load_is_complete_and_restores_beside_production(site, tmp_path) -> None:
    """Files are replaced and projects deleted while the backup runs."""
    backup = site.folder / "backup"
    backup.mkdir()
    remotes = {"bucket": "bucket/live", "other-bucket": "other-bucket/restored"}
    environment = {
        # rclone can't use it.
        **{name: value for name, value in site.services.environment.items() if name != "AWS_CA_BUNDLE"},
        "PATH": f"{Path(sys.prefix) / 'bin'}:{postgres_programs()}:{os.environ['PATH']}",
        "BACKUP": str(backup),
        "BACKUP_URL": f"postgresql://backup:{_PASSWORD}@127.0.0.1:{site.postgres_port}/",
        "RCLONE_CONFIG": str(guide.rclone_configuration(site.folder, site.services.environment, remotes)),
        "SMTP_URL": site.services.environment["MOSAIC_SMTP_URL"],
    }
    with ExitStack() as stack:
        stack.enter_context(_server(site, 0, tmp_path / "log"))
        client = stack.enter_context(site.client(site.key))
        wait_until(lambda: client.get("/v1/project").status_code == 200)
        project_id, gone = _create(client, "Kept"), _create(client, "Gone")
        client.post(
            f"/v1/project/{project_id}/sql", json={"query": "CREATE TABLE seen (n bigint)"}
        ).raise_for_status()
        writer = Writer([Through(site)], site.key, project_id)
        with ThreadPoolExecutor(2) as threads:
            work = [threads.submit(writer.run, number) for number in range(2)]
            try:
                wait_until(lambda: len(writer.rows) > 15)
                rows, files = set(writer.rows), {*writer.files, *writer.objects}
                steps = commands(block("sh", "pg_basebackup"))
                assert len(steps) == 4
                _shell(steps[0], environment)
                assert client.delete(f"/v1/project/projects/{gone}").status_code == 200
                for step in steps[1:]:
                    _shell(step, environment)
            finally:
                writer.stop.set()
            for one in work:
                one.result()
        port = free_port()
        own = unprivileged()
        restored = site.folder / "restored"
        restored.mkdir()
        (backup / "postgres").rename(restored / "data")
        if own:
            subprocess.run(["chown", "-R", f"{own['user']}:{own['group']}", str(restored)], check=True)
        postgres = Postgres(restored, port)
        postgres.start()
        copy = {
            **environment,
            "MOSAIC_DATABASE_URL": f"postgresql://operator:{_PASSWORD}@127.0.0.1:{port}/postgres",
        }
        try:
            copied = Services(copy, "", ("--store", "s3://other-bucket/restored", "--base-domain", DOMAIN))
            # Production's bucket is refused once production has made a claim that isn't in the backup.
            counts = [one.replace("/postgres", "/mosaic_control") for one in (environment[URL], copy[URL])]
            wait_until(lambda: _claims(counts[0]) > _claims(counts[1]))
            refused = run(copied, "prepare", *site.services.arguments)
            assert refused["error"]["code"] == "store_not_ours"
            steps = commands(block("sh", "take-over"))
            assert len(steps) == 3
            for step in steps[:2]:
                _shell(step.replace("s3://other-bucket", "s3://other-bucket/restored"), copy)
            assert "platform serve --store s3://other-bucket --base-domain" in steps[2]
            with serve(copied) as served, served.client(site.key) as client:
                client.headers["Host"] = f"api.{DOMAIN}"
                response = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT n FROM seen"})
                assert rows <= {row["n"] for row in response.json()["rows"]}
                listed = client.get(f"/v1/project/{project_id}/files").json()["files"]
                stored = client.get(f"/v1/project/{project_id}/storage").json()["files"]
                paths = [f"/{one['filename']}" for one in listed] + [
                    f"/storage/{one['filename']}" for one in stored
                ]
                assert files <= {path.rpartition("/")[2] for path in paths}
                for path in paths:
                    assert _read(client, project_id, path).status_code == 200, path
        finally:
            postgres.stop(signal.SIGQUIT)


def _are_replaced(served: Served, workers: list[int]) -> bool:
    now = children(served.process.pid)
    return len(now) == len(workers) and not set(now) & set(workers)


def _claims(url: str) -> int:
    return int(query(url, "SELECT count(*) FROM store_claim")[0][0])


def _shell(line: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
