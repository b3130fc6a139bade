"""Where bytes lie: an object store behind one small interface. A local folder today; S3 has the same verbs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import LocalStore


class Store(Protocol):
    """Objects by key. Keys are made by the platform, never by a user."""

    async def put(self, key: str, content: bytes) -> None: ...

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Whole or not at all: where `chunks` raises, nothing is left under the key."""

    def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`. Raises FileNotFoundError before the first."""

    async def delete(self, key: str) -> None:
        """Deleting what isn't there is fine."""

    async def delete_under(self, prefix: str) -> None: ...


_CHUNK = 1 << 20


class FolderStore:
    """Objects as files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._store = LocalStore(folder, mkdir=True, automatic_cleanup=True)

    async def put(self, key: str, content: bytes) -> None:
        await obstore.put_async(self._store, key, content)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        await obstore.put_async(self._store, key, chunks, chunk_size=5 * _CHUNK, max_concurrency=2)

    async def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        # One read holds the file open: it stays whole for this reader when it is replaced meanwhile.
        if start == end:
            await obstore.head_async(self._store, key)
            return
        found = await obstore.get_async(self._store, key, options={"range": (start, end)})
        async for chunk in found.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)

    async def delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return

    async def delete_under(self, prefix: str) -> None:
        async for listed in obstore.list(self._store, prefix=prefix):
            for entry in listed:
                await self.delete(entry["path"])
