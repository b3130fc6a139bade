"""Acknowledged writes are on disk; logs are bounded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from mosaic_deploy.platform.postgres import server_log
from mosaic_deploy.platform.postgres.server_log import rotate_log
from mosaic_deploy.platform.storage import object_store


@pytest.fixture
def written_out(monkeypatch) -> list[int]:
    """Inodes, in the order of their fsync."""
    seen: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        seen.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


@pytest.mark.parametrize("size", [0, 4096, 20_000_000])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_put_is_on_disk_when_it_returns(tmp_path, written_out, size, streamed) -> None:
    """The file, and every folder created for it."""
    folder, key = tmp_path / "a store", "pod-1/stored_file/0123"
    kept = object_store.folder_store(folder)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * size

    asyncio.run(kept.put_stream(key, chunks(), size) if streamed else kept.put(key, b"x" * size))
    path = folder / key
    assert path.stat().st_size == size
    assert written_out == [place.stat().st_ino for place in (path, *path.parents[:3])]
    assert path.parents[2] == folder


def test_concurrent_puts_and_deletions(tmp_path) -> None:
    """A folder is removed with its last file while another file is about to be written there."""
    kept = object_store.folder_store(tmp_path)

    async def put_and_delete(number: int) -> None:
        for turn in range(20):
            key = f"pod-1/static_file/{number}-{turn}"
            await kept.put(key, b"x")
            assert [chunk async for chunk in kept.stream(key, 0, 1)] == [b"x"]
            await kept.delete(key)

    async def all_of_them() -> None:
        await asyncio.gather(*(put_and_delete(number) for number in range(8)))

    asyncio.run(all_of_them())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_postgres_log_is_rotated_while_in_use(tmp_path, monkeypatch) -> None:
    log = tmp_path / "postgres.log"
    rotate_log(log)
    assert not log.exists()
    monkeypatch.setattr(server_log, "MAX_BYTES", 1000)
    with log.open("ab", buffering=0) as written:
        written.write(b"a" * 1000)
        rotate_log(log)
        assert log.stat().st_size == 1000
        written.write(b"b")
        rotate_log(log)
        assert log.stat().st_size == 0
        assert (tmp_path / "postgres.log.1").read_bytes() == b"a" * 1000 + b"b"
        written.write(b"c")
        assert log.read_bytes() == b"c"


def test_failed_logins_dont_fill_the_disk(platform, project) -> None:
    """The log already has 5 MB; the next lines start a new file."""
    import json
    import time

    state = json.loads((platform.home / "state.json").read_text())
    log = Path(state["postgres_folder"]) / "postgres.log"
    with log.open("ab") as more:
        more.write(b"x" * (server_log.MAX_BYTES + 1) + b"\n")
    deadline = time.monotonic() + 20
    while log.stat().st_size > server_log.MAX_BYTES:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host="127.0.0.1", port=state["postgres_port"], user="nobody", password="x", dbname="nobody"
        )
    assert b'"nobody"' in log.read_bytes()
    assert log.with_name("postgres.log.1").stat().st_size > server_log.MAX_BYTES
