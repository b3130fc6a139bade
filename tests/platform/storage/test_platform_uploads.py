"""Uploads that are concurrent, interrupted, stalled or large."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest


class Sender:
    """An upload sent in pieces, so that a test can act in between."""

    def __init__(self, url: str, content: bytes, *, length: int | None = None) -> None:
        parts = urlsplit(url)
        self._left = content
        self._socket = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30)
        size = len(content) if length is None else length
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n"
        self._socket.sendall(head.encode())

    def send(self, count: int) -> None:
        self._socket.sendall(self._left[:count])
        self._left = self._left[count:]

    def finish(self) -> int:
        self.send(len(self._left))
        status = self.status()
        self.close()
        return status

    def status(self) -> int:
        return int(self._socket.recv(65536).split(b" ", 2)[1])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def limited(api, project, platform) -> Iterator[str]:
    """A project with a quota of 10 MB."""
    project_id = project()
    with control(platform) as connection:
        connection.execute("UPDATE project SET storage_limit = 10000000 WHERE id = %s", [project_id])
    yield project_id


def control(platform) -> psycopg.Connection:
    state = json.loads((platform.home / "state.json").read_text())
    return psycopg.connect(
        host="127.0.0.1", port=state["postgres_port"], user="mosaic", password=state["postgres_password"],
        dbname="mosaic_control", autocommit=True,
    )  # fmt: skip


def ask(api, project_id: str, name: str, size: int) -> str:
    response = api.post(f"/{project_id}/storage/upload", json={"filename": name, "size": size})
    assert response.status_code == 200, response.text
    return str(response.json()["upload_url"])


def used(api, project_id: str) -> int:
    return int(api.get(f"/{project_id}/storage").json()["usage"]["used_bytes"])


def stored(platform, project_id: str) -> list[Path]:
    return [path for path in (platform.home / "store" / project_id).rglob("*") if path.is_file()]


def await_that(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_quota_is_reserved_before_the_first_byte(api, limited, platform) -> None:
    content = b"x" * 3_000_000
    urls = [ask(api, limited, f"{number}.bin", len(content)) for number in range(5)]
    begun = [Sender(url, content) for url in urls[:3]]
    for one in begun:
        one.send(1_000_000)
    await_that(lambda: _reserved(platform, limited) == 9_000_000)
    # Nothing is stored yet, but the quota has no room for a fourth upload.
    assert used(api, limited) == 0
    rejected = api.plain.put(urls[3], content=content)
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (413, "storage_quota_exceeded")
    response = api.post(f"/{limited}/storage/upload", json={"filename": "x", "size": 2_000_000})
    assert response.status_code == 413
    begun[0].close()
    await_that(lambda: _reserved(platform, limited) == 6_000_000)
    assert api.plain.put(urls[3], content=content).status_code == 200
    assert [one.finish() for one in begun[1:]] == [200, 200]
    assert used(api, limited) == 9_000_000
    assert _reserved(platform, limited) == 0
    assert len(stored(platform, limited)) == 3


def test_concurrent_uploads_cannot_exceed_the_quota(api, limited, platform) -> None:
    content = b"x" * 1_500_000
    urls = [ask(api, limited, f"{number}.bin", len(content)) for number in range(20)]
    with ThreadPoolExecutor(10) as threads:
        statuses = list(threads.map(lambda url: api.plain.put(url, content=content).status_code, urls))
    assert set(statuses) == {200, 413}
    assert statuses.count(200) == 6
    listed = api.get(f"/{limited}/storage").json()
    assert listed["usage"] == {
        "used": "9 MB", "limit": "10 MB", "percent": 90.0, "used_bytes": 9_000_000, "limit_bytes": 10_000_000,
    }  # fmt: skip
    # A replacement needs only its own size.
    full = ask(api, limited, "0.bin" if statuses[0] == 200 else listed["files"][0]["filename"], 2_500_000)
    assert api.plain.put(full, content=b"y" * 2_500_000).status_code == 200
    assert used(api, limited) == 10_000_000


def test_an_expired_upload_cannot_finish(api, limited, platform) -> None:
    """For example if a worker was suspended, and another one released the upload's reservation."""
    assert api.upload(limited, "a.bin", b"before").status_code == 200
    sender = Sender(ask(api, limited, "a.bin", 2_000_000), b"x" * 2_000_000)
    sender.send(1_000_000)
    await_that(lambda: _reserved(platform, limited) == 2_000_000)
    with control(platform) as connection:
        connection.execute(
            "UPDATE loose_object SET touched_at = now() - interval '1 hour' WHERE project_id = %s", [limited]
        )
    await_that(lambda: _reserved(platform, limited) == 0)
    assert sender.finish() == 503
    assert api.site(limited, "/storage/a.bin").text == "before"
    await_that(lambda: len(stored(platform, limited)) == 1)


def test_concurrent_uploads_to_one_name_are_atomic(api, project, platform) -> None:
    project_id = project()
    contents = [bytes([number]) * 300_000 for number in range(8)]
    urls = [ask(api, project_id, "same.bin", 300_000) for _ in contents]
    wrong: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            response = api.site(project_id, "/storage/same.bin")
            if response.status_code == 200 and response.content not in contents:
                wrong.append(response.content)

    with ThreadPoolExecutor(10) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        puts = [
            threads.submit(lambda pair: api.plain.put(pair[0], content=pair[1]).status_code, pair)
            for pair in zip(urls, contents, strict=True)
        ]
        assert [one.result() for one in puts] == [200] * 8
        done.set()
        for reader in readers:
            reader.result()
    assert wrong == []
    assert api.site(project_id, "/storage/same.bin").content in contents
    # Every replaced object is recorded as an orphan, so it will be swept.
    with control(platform) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM loose_object WHERE project_id = %s", [project_id]
        ).fetchone() or (0,)
    assert len(stored(platform, project_id)) == 1 + count


def test_large_transfers_use_constant_memory(api, project, platform) -> None:
    """Linux only, because it reads /proc."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    project_id = project()
    pid = json.loads((platform.home / "platform.json").read_text())["pid"]
    api.upload(project_id, "warm.bin", b"x" * 20_000_000)
    before, size = _resident(pid), 400_000_000
    peaks: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peaks.append(_resident(pid))

    watching = threading.Thread(target=watch)
    watching.start()
    chunk = b"x" * 1_000_000
    url = ask(api, project_id, "large.bin", size)
    head = {"Content-Length": str(size)}
    response = api.plain.put(url, content=(chunk for _ in range(size // len(chunk))), headers=head)
    assert response.status_code == 200
    port = api.root.rpartition(":")[2]
    host = {"Host": f"{project_id}.localhost:{port}"}
    with api.plain.stream("GET", f"{api.root}/storage/large.bin", headers=host) as response:
        assert sum(len(part) for part in response.iter_bytes(1_000_000)) == size
    done.set()
    watching.join()
    assert max(peaks) - before < 100_000_000
    api.delete(f"/{project_id}/storage/large.bin")


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _reserved(platform, project_id: str) -> int:
    with control(platform) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(size), 0)::bigint FROM loose_object WHERE project_id = %s AND state = 'arriving'",
            [project_id],
        ).fetchone()
    assert row is not None
    return int(row[0])
