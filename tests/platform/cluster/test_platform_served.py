"""The served platform: several workers on a PostgreSQL server and an S3 service."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from served import DOMAIN, Served, Services, postgres_server, query, run, s3_service, serve
from signed import unfinished_uploads

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    # Not below pytest's own folder: PostgreSQL's user must be able to enter it.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mosaic served ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url, s3_service(folder / "s3") as aws:
            environment = {
                **os.environ,
                **aws,
                "MOSAIC_DATABASE_URL": url,
                "MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com",
            }
            arguments = ("--store", "s3://mosaic/bytes", "--base-domain", f"http://{DOMAIN}")
            yield Services(environment, "s3://mosaic/bytes", arguments)


@pytest.fixture(scope="module")
def key(services) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mosaic_deploy", "platform", "account", "create", "Ann", "--tier", "pro", "-o", "json"],
        env=services.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["api_key"])


def await_running(client: httpx.Client, project_id: str) -> None:
    deadline = time.monotonic() + 40
    while True:
        listed = client.get("/v1/project/projects").json()["projects"]
        if any(one["project_id"] == project_id and one["status"] == "running" for one in listed):
            return
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)


def create(client: httpx.Client, name: str) -> str:
    created = client.post("/v1/project/projects", json={"name": name})
    assert created.status_code == 201, created.text
    await_running(client, created.json()["project_id"])
    return str(created.json()["project_id"])


def upload(client: httpx.Client, project_id: str, name: str, content: bytes) -> httpx.Response:
    permit = client.post(
        f"/v1/project/{project_id}/storage/upload", json={"filename": name, "size": len(content)}
    )
    permit.raise_for_status()
    url = urlsplit(permit.json()["upload_url"])
    assert (url.scheme, url.netloc) == ("http", f"api.{DOMAIN}")
    return client.put(f"{url.path}?{url.query}", content=content)


def read(client: httpx.Client, project_id: str, path: str, **headers: str) -> httpx.Response:
    return client.get(path, headers={"Host": f"{project_id}.{DOMAIN}", **headers})


class Writer:
    """Writes through random workers, as through a load balancer, and records what was acknowledged."""

    def __init__(self, workers: list[Served], key: str, project_id: str) -> None:
        self._workers = workers
        self._key = key
        self._project = project_id
        self.files: dict[str, bytes] = {}
        self.objects: dict[str, bytes] = {}
        self.rows: set[int] = set()
        self.refused: list[str] = []
        self.stop = threading.Event()

    def run(self, number: int) -> None:
        clients = [worker.client(self._key) for worker in self._workers]
        for turn in itertools.count():
            if self.stop.is_set():
                break
            client = clients[(turn + number) % len(clients)]
            try:
                self._write(client, f"{number}-{turn % 7}", number * 1_000_000 + turn)
            except httpx.TransportError:
                # Without a response, the file may exist or not: its name can't be checked any more.
                self.files.pop(f"{number}-{turn % 7}.txt", None)
                self.objects.pop(f"{number}-{turn % 7}.bin", None)
        for client in clients:
            client.close()

    def _write(self, client: httpx.Client, name: str, value: int) -> None:
        text = f"{value} " * 500
        content = hashlib.sha256(text.encode()).digest() * 4_000
        base = f"/v1/project/{self._project}"
        response = client.post(f"{base}/files", json={"filename": f"{name}.txt", "content": text})
        self._note(response, 201)
        self.files[f"{name}.txt"] = text.encode()
        response = upload(client, self._project, f"{name}.bin", content)
        self._note(response, 200)
        self.objects[f"{name}.bin"] = content
        response = client.post(f"{base}/sql", json={"query": f"INSERT INTO seen VALUES ({value})"})
        self._note(response, 200)
        self.rows.add(value)

    def _note(self, response: httpx.Response, expected: int) -> None:
        if response.status_code != expected:
            self.refused.append(response.text)
            raise httpx.TransportError("not acknowledged")


def test_a_killed_worker_loses_nothing_acknowledged(services, key) -> None:
    with serve(services) as first, serve(services) as second, second.client(key) as client:
        with first.client(key) as other:
            project_id = create(other, "Load")
        client.post(
            f"/v1/project/{project_id}/sql", json={"query": "CREATE TABLE seen (n bigint)"}
        ).raise_for_status()
        writer = Writer([first, second], key, project_id)
        with ThreadPoolExecutor(6) as threads:
            running = [threads.submit(writer.run, number) for number in range(6)]
            _await(lambda: len(writer.rows) > 60)
            with first.client(key) as other:
                half_created = other.post("/v1/project/projects", json={"name": "Half made"}).json()[
                    "project_id"
                ]
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            before = len(writer.rows)
            _await(lambda: len(writer.rows) > before + 40)
            writer.stop.set()
            for one in running:
                one.result()
        assert writer.refused == []
        assert writer.files
        assert writer.objects
        for name, content in writer.files.items():
            assert read(client, project_id, f"/{name}").content == content, name
        for name, content in writer.objects.items():
            assert read(client, project_id, f"/storage/{name}").content == content, name
        response = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT n FROM seen"})
        assert writer.rows <= {row["n"] for row in response.json()["rows"]}
        # The other worker finishes what the killed one started.
        await_running(client, half_created)


def test_orphaned_objects_of_a_killed_worker_are_deleted(services, key) -> None:
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Swept")
        assert upload(client, project_id, "kept.bin", b"kept").status_code == 200
        assert upload(client, project_id, "replaced.bin", b"old").status_code == 200
        assert upload(client, project_id, "replaced.bin", b"new").status_code == 200
        control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
        lost = f"{project_id}/stored_file/lost"
        _store(services).put(lost, b"half")
        query(
            control,
            f"INSERT INTO loose_object (object, project_id, size, state) VALUES ('{lost}', '{project_id}', 9, 'arriving')",
        )
        assert len(_store(services).keys(project_id)) == 4
        query(control, "UPDATE loose_object SET touched_at = now() - interval '1 hour'")
        _await(lambda: len(_store(services).keys(project_id)) == 2)
        _await(lambda: not query(control, "SELECT 1 FROM loose_object"))
        assert read(client, project_id, "/storage/kept.bin").text == "kept"
        assert read(client, project_id, "/storage/replaced.bin").text == "new"
        # A deleted project leaves no objects either.
        assert client.delete(f"/v1/project/projects/{project_id}").status_code == 200
        assert _store(services).keys(project_id) == []


def test_an_interrupted_deletion_is_finished(services, key) -> None:
    control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Cut short")
        query(
            control,
            f"UPDATE project SET status = 'deleting', created_at = now() - interval '1 day' WHERE id = '{project_id}'",
        )
        assert client.get(f"/v1/project/{project_id}/files").status_code == 404
        _await(lambda: not query(control, f"SELECT 1 FROM project WHERE id = '{project_id}'"))
        name = "tenant_" + project_id.replace("-", "_")
        assert not query(control, f"SELECT 1 FROM pg_database WHERE datname = '{name}'")
        assert not query(control, f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'")


def test_an_interrupted_upload_leaves_nothing(services, key) -> None:
    """Not even its parts, which S3 keeps, invisibly, until they are aborted."""
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Broken")
        permit = client.post(
            f"/v1/project/{project_id}/storage/upload", json={"filename": "a", "size": 40_000_000}
        )
        url = urlsplit(permit.json()["upload_url"])
        with socket.create_connection(("127.0.0.1", int(served.address.rpartition(":")[2]))) as broken:
            head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: api.{DOMAIN}\r\nContent-Length: 40000000\r\n\r\n"
            broken.sendall(head.encode() + b"x" * 30_000_000)
            _await(lambda: unfinished_uploads(services.environment) != [])
        control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
        _await(lambda: not query(control, f"SELECT 1 FROM loose_object WHERE project_id = '{project_id}'"))
        assert _store(services).keys(project_id) == []
        assert unfinished_uploads(services.environment) == []
        assert upload(client, project_id, "a", b"x" * 1_000).status_code == 200


def test_large_uploads_and_ranges(services, key) -> None:
    content = os.urandom(1 << 20) * 20
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Large")
        assert upload(client, project_id, "large.bin", content).status_code == 200
        path = "/storage/large.bin"
        assert read(client, project_id, path).content == content
        part = read(client, project_id, path, Range="bytes=8388600-8388700")
        assert (part.status_code, part.content) == (206, content[8388600:8388701])
        listed = client.get(f"/v1/project/{project_id}/storage").json()
        assert listed["usage"]["limit"] == "1 TB"
        assert listed["files"][0]["url"] == f"http://{project_id}.{DOMAIN}{path}"


def test_accounts_and_hosts(services, key) -> None:
    stranger = run(services, "account-create", "Bob", "--tier", "free")["api_key"]
    with serve(services) as served, served.client(key) as ann, served.client(stranger) as bob:
        project_id = create(ann, "Ann's")
        for path in (f"/v1/project/{project_id}/files", f"/v1/project/{project_id}/credentials"):
            assert bob.get(path).status_code == 404
        assert bob.get("/v1/project/projects").json() == {"projects": []}
        assert bob.delete(f"/v1/project/projects/{project_id}").status_code == 404
        for given, code in (("mk_wrong", "api_key_invalid"), ("", "api_key_missing")):
            with served.client(given) as nobody:
                refused = nobody.get("/v1/project")
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, code)
        # A served platform has no dashboard.
        for path in ("/", "/inbox", "/requests", "/key", "/metrics"):
            assert ann.get(path).status_code == 404, path
        assert ann.get("/v1/project", headers={"Host": "evil.example"}).status_code == 421
        assert httpx.get(f"{served.address}/healthz").json()["status"] == "ok"
        # The new key and, for some days, the old one belong to the same account.
        account_id = run(services, "account-create", "Carl")["account_id"]
        rotated = run(services, "account-rotate", str(account_id))
        with served.client(rotated["api_key"]) as carl:
            assert carl.get("/v1/project/projects").json() == {"projects": []}
        missing = run(services, "account-rotate", "999999")
        assert (missing["exit_code"], missing["error"]["code"]) == (1, "account_not_found")
        credentials = ann.get(f"/v1/project/{project_id}/credentials").json()
        assert query(credentials["database_url"], "SELECT current_user")[0][0] == credentials["user"]


def test_changing_an_accounts_tier(services) -> None:
    """With custom limits. The commands print no keys except new ones."""
    created = run(services, "account-create", "Dora")
    number = str(created["account_id"])
    limits = ("--free-storage", "1MB", "--pro-storage", "2 MB", "--free-emails", "1", "--pro-emails", "2")
    with serve(services, *limits) as served, served.client(created["api_key"]) as dora:
        one = f"/v1/project/{create(dora, 'Moved')}"
        assert dora.get(f"{one}/storage").json()["usage"]["limit"] == "1 MB"
        changed_account = run(services, "account-tier", number, "pro")
        assert changed_account == {
            "account_id": created["account_id"],
            "name": "Dora",
            "tier": "pro",
            "exit_code": 0,
        }
        assert dora.get(f"{one}/storage").json()["usage"]["limit"] == "2 MB"
        listed = {entry["account_id"]: entry for entry in run(services, "account-list")["accounts"]}
        entry = listed[created["account_id"]]
        assert (entry["tier"], entry["projects"], entry["name"]) == ("pro", 1, "Dora")
        assert "mk_" not in json.dumps(listed)
    assert run(services, "account-tier", "999999", "pro")["error"]["code"] == "account_not_found"


def test_workers_are_supervised(services, key) -> None:
    """A killed worker is replaced; if the supervisor is killed, the workers stop."""
    program = (sys.executable, "-m", "mosaic_deploy", "platform", "serve", "--output", "ndjson")
    with serve(services, "--workers", "2", command=program) as served, served.client(key) as client:
        create(client, "Two")
        _await(lambda: len(_children(served.process.pid)) == 2)
        killed = _children(served.process.pid)[0]
        os.kill(killed, signal.SIGKILL)
        _await(
            lambda: len(_children(served.process.pid)) == 2 and killed not in _children(served.process.pid)
        )
        for _ in range(20):
            with served.client(key) as other:
                assert other.get("/v1/project/projects").status_code == 200
        workers = _children(served.process.pid)
        served.process.kill()
        served.process.wait()
        _await(lambda: not any(_lives(pid) for pid in workers))


def test_concurrent_starts_on_a_new_server(tmp_path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url:
            environment = {**os.environ, "MOSAIC_DATABASE_URL": url}
            arguments = ("--store", f"file://{tmp_path}/store", "--base-domain", "example.com")
            services = Services(environment, "", arguments)
            with ThreadPoolExecutor(4) as threads:
                done = list(threads.map(lambda _: run(services, "prepare", *arguments), range(4)))
            assert [one["exit_code"] for one in done] == [0, 0, 0, 0], done
            control = url.replace("/postgres", "/mosaic_control")
            versions = [row[0] for row in query(control, "SELECT version FROM schema_version ORDER BY 1")]
            assert versions == list(range(1, len(versions) + 1))


@pytest.mark.parametrize(
    ("changed", "arguments", "code"),
    [
        ({"MOSAIC_DATABASE_URL": ""}, (), "database_url_invalid"),
        ({"MOSAIC_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, (), "database_unusable"),
        ({"MOSAIC_DATABASE_URL": "nonsense"}, (), "database_url_invalid"),
        ({"AWS_SECRET_ACCESS_KEY": "another"}, (), "store_unusable"),
        ({"MOSAIC_SMTP_URL": "http://x"}, (), "smtp_url_invalid"),
        ({}, ("--store", "ftp://x"), "store_url_invalid"),
        ({}, ("--base-domain", "not a domain"), "base_domain_invalid"),
    ],
)
def test_unusable_settings_are_reported(services, changed, arguments, code) -> None:
    broken = Services({**services.environment, **changed}, "", ())
    result = run(broken, "prepare", *services.arguments, *arguments)
    assert (result["exit_code"], result["error"]["code"]) == (1, code), result
    assert "secret" not in result["error"]["message"]
    assert result["error"]["message"]


def _store(services: Services) -> Any:
    import obstore
    from obstore.store import S3Store

    names = {
        "endpoint": "AWS_ENDPOINT_URL", "region": "AWS_REGION", "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    }  # fmt: skip
    config: Any = {name: services.environment[variable] for name, variable in names.items()}
    store = S3Store("mosaic", prefix="bytes", config=config, client_options={"allow_http": True})

    class Objects:
        def put(self, key: str, content: bytes) -> None:
            obstore.put(store, key, content)

        def keys(self, prefix: str) -> list[str]:
            return [entry["path"] for listed in obstore.list(store, prefix=prefix) for entry in listed]

    return Objects()


def _await(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    result = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    return [int(number) for number, state in lines if not state.startswith("Z")]


def _lives(pid: int) -> bool:
    result = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(result.stdout.strip()) and not result.stdout.startswith("Z")
