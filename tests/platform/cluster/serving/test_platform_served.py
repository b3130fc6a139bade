"""A served platform loses nothing: killed workers, interrupted uploads and deletions."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from served import DOMAIN, Services, query, serve
from served_requests import await_running, create, read, upload, wait_until
from signed import unfinished_uploads
from writer import Writer

pytestmark = pytest.mark.timeout(240)


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
            wait_until(lambda: len(writer.rows) > 60)
            with first.client(key) as other:
                half_created = other.post("/v1/project/projects", json={"name": "Half made"}).json()[
                    "project_id"
                ]
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            before = len(writer.rows)
            wait_until(lambda: len(writer.rows) > before + 40)
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
        wait_until(lambda: len(_store(services).keys(project_id)) == 2)
        wait_until(lambda: not query(control, "SELECT 1 FROM loose_object"))
        assert read(client, project_id, "/storage/kept.bin").text == "kept"
        assert read(client, project_id, "/storage/replaced.bin").text == "new"
        # A deleted project leaves no objects either.
        assert client.delete(f"/v1/project/projects/{project_id}").status_code == 200
        assert _store(services).keys(project_id) == []


def test_an_interrupted_deletion_is_finished(services, key) -> None:
    control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Cut short")
        assert upload(client, project_id, "a.bin", b"bytes").status_code == 200
        query(
            control,
            f"UPDATE project SET status = 'deleting', created_at = now() - interval '1 day' WHERE id = '{project_id}'",
        )
        assert client.get(f"/v1/project/{project_id}/files").status_code == 404
        wait_until(lambda: not query(control, f"SELECT 1 FROM project WHERE id = '{project_id}'"))
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
            wait_until(lambda: unfinished_uploads(services.environment) != [])
        control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
        wait_until(
            lambda: not query(control, f"SELECT 1 FROM loose_object WHERE project_id = '{project_id}'")
        )
        assert _store(services).keys(project_id) == []
        assert unfinished_uploads(services.environment) == []
        assert upload(client, project_id, "a", b"x" * 1_000).status_code == 200


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

        def delete(self, key: str) -> None:
            obstore.delete(store, key)

        def keys(self, prefix: str) -> list[str]:
            return [entry["path"] for listed in obstore.list(store, prefix=prefix) for entry in listed]

    return Objects()
