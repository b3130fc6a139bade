"""Where bytes lie: an object store behind one small interface. A local folder, or a bucket of any S3 service."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from mosaic_deploy.platform.faults import ProcessFault


class Store(Protocol):
    """Objects by key. Keys are made by the platform, never by a user."""

    async def put(self, key: str, content: bytes) -> None:
        """Returns when the bytes are kept for good."""

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], size: int) -> None:
        """Whole or not at all: where `chunks` raises, nothing is left under the key. `size` is what they will be."""

    def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`. Raises FileNotFoundError before the first."""

    async def delete(self, key: str) -> None:
        """Deleting what isn't there is fine."""

    async def delete_prefix(self, prefix: str) -> None: ...

    async def check(self) -> None:
        """Write, read and delete one object; a ProcessFault tells why that can't be done."""


_CHUNK = 1 << 20
# S3 wants parts of at least 5 MiB, and at most 10,000 of them: the parts of very large uploads are larger.
_PART_BYTES = 8 * _CHUNK
_MAX_PARTS = 9_000


class ObjectStore:
    """Everything that obstore reaches."""

    def __init__(self, store: LocalStore | S3Store, name: str) -> None:
        self._store = store
        self._name = name

    async def put(self, key: str, content: bytes) -> None:
        await obstore.put_async(self._store, key, content, use_multipart=False)
        await self._sync(key)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], size: int) -> None:
        if size <= _PART_BYTES:
            # One request to S3 instead of three.
            content = bytearray()
            async for chunk in chunks:
                content += chunk
            await self.put(key, bytes(content))
            return
        part = max(_PART_BYTES, -(-size // _MAX_PARTS))
        await obstore.put_async(self._store, key, chunks, chunk_size=part, max_concurrency=2)
        await self._sync(key)

    async def _sync(self, key: str) -> None:
        """What S3 has answered for it keeps."""

    async def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        # One read holds the object: it stays whole for this reader when it is replaced meanwhile.
        if start == end:
            await obstore.head_async(self._store, key)
            return
        found = await obstore.get_async(self._store, key, options={"range": (start, end)})
        async for chunk in found.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)

    async def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def delete_prefix(self, prefix: str) -> None:
        async for listed in obstore.list(self._store, prefix=prefix):
            for entry in listed:
                await self.delete(entry["path"])

    async def check(self) -> None:
        key = f"check/{os.getpid()}"
        try:
            await self.put(key, b"mosaic")
            read = b"".join([chunk async for chunk in self.stream(key, 0, 6)])
            await self.delete(key)
        except (BaseError, OSError) as error:
            raise ProcessFault(
                "store_unusable",
                f"the store {self._name} can't be used: {_first_line(error)}",
                "check bucket, AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ) from error
        if read != b"mosaic":
            raise ProcessFault(
                "store_unusable", f"the store {self._name} doesn't give back what was put there"
            )


class FolderStore(ObjectStore):
    """Objects as files below one folder. A put that has returned outlives a power cut, as a commit does: the record
    that refers to it is written after it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalStore(folder, mkdir=True, automatic_cleanup=True), str(folder))
        self._folder = folder

    async def put(self, key: str, content: bytes) -> None:
        await asyncio.to_thread(_write, self._folder, key, content)

    async def _sync(self, key: str) -> None:
        await asyncio.to_thread(_fsync_with_parents, self._folder, key)


def _write(folder: Path, key: str, content: bytes) -> None:
    """In place: nobody knows the key before this has returned."""
    path = folder / key
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(content)
        except FileNotFoundError:
            # The folder was empty, and has just been deleted with the last file that was in it.
            continue
        break
    _fsync_with_parents(folder, key)


def _fsync_with_parents(folder: Path, key: str) -> None:
    """The file, and each folder down to it, which may be new as well."""
    path = folder / key
    for place in (path, *path.parents[: len(Path(key).parts)]):
        # Gone already: the project was deleted meanwhile, and the record won't be written.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def folder_store(folder: Path) -> ObjectStore:
    return FolderStore(folder)


def open_store(url: str) -> ObjectStore:
    """The store of a `--store`: `s3://bucket/prefix`, or `file:///folder` that all workers share.

    Endpoint, region and credentials of S3 come from the environment, under the names that AWS gave them.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return folder_store(Path(parts.path))
    if parts.scheme != "s3" or not parts.netloc:
        raise ProcessFault(
            "store_url_invalid",
            f"{url!r} is not a store",
            "e.g. s3://bucket, s3://bucket/prefix or file:///folder",
        )
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    try:
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            # Other services than Amazon's have buckets in the path.
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "connect_timeout": timedelta(seconds=10)},
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
            config={"endpoint": endpoint} if endpoint else {},
        )
    except BaseError as error:
        raise ProcessFault(
            "store_url_invalid", f"the store {url} can't be opened: {_first_line(error)}"
        ) from error
    return ObjectStore(store, url)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
