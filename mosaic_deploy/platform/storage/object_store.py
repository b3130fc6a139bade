"""The object store, which holds the contents of all files: a local folder, or a bucket of any S3 service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
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

log = logging.getLogger(__name__)


class Store(Protocol):
    """Objects by key. Only the platform chooses keys, never a user."""

    async def put(self, key: str, content: bytes) -> None:
        """Returns when the object is durable."""

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], size: int) -> None:
        """Atomic: if `chunks` raises, no object is created. `size` is the sum of their lengths."""

    def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to `end`, exclusive. Raises FileNotFoundError before the first chunk."""

    async def read(self, key: str) -> bytes:
        """A small object, whole. Raises FileNotFoundError."""

    async def delete(self, key: str) -> None:
        """Does nothing if the object doesn't exist."""

    async def delete_prefix(self, prefix: str) -> None: ...

    async def check(self) -> None:
        """Write, read and delete an object. Raises ProcessFault if that fails."""


_CHUNK = 1 << 20
# The store may take this long for the next chunk of a read. A read that breaks off is tried this often without progress.
_READ_TIMEOUT_SECONDS, _READ_ATTEMPTS = 60.0, 4
# S3 requires parts of at least 5 MiB and allows 10,000 of them, so very large uploads use larger parts.
_PART_BYTES = 8 * _CHUNK
_MAX_PARTS = 9_000


class ObjectStore:
    """A `Store` on obstore."""

    def __init__(self, store: LocalStore | S3Store, name: str) -> None:
        self._store = store
        self._name = name

    async def put(self, key: str, content: bytes) -> None:
        await obstore.put_async(self._store, key, content, use_multipart=False)
        await self._sync(key)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], size: int) -> None:
        if size <= _PART_BYTES:
            # A single request to S3 instead of the three of a multipart upload.
            content = bytearray()
            async for chunk in chunks:
                content += chunk
            await self.put(key, bytes(content))
            return
        part = max(_PART_BYTES, -(-size // _MAX_PARTS))
        await obstore.put_async(self._store, key, chunks, chunk_size=part, max_concurrency=2)
        await self._sync(key)

    async def _sync(self, key: str) -> None:
        """Make the object durable. S3 has done so when it responds."""

    async def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """One read if possible, which stays consistent even if the object is deleted meanwhile. If the store closes the
        connection or stalls, as it may while a slow client holds up the read, another read continues where it ended.
        """
        if start == end:
            await obstore.head_async(self._store, key)
            return
        failures = 0
        while start < end:
            try:
                async for chunk in self._read(key, start, end):
                    start += len(chunk)
                    failures = 0
                    yield chunk
            except FileNotFoundError:
                raise
            except (BaseError, TimeoutError, EOFError) as error:
                failures += 1
                if failures >= _READ_ATTEMPTS:
                    raise
                log.warning("reading the object %s broke off, continuing: %s", key, _first_line(error))
                await asyncio.sleep(failures - 1)

    async def _read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Only the time spent waiting for the store is limited, not the reader's. Raises EOFError if bytes are missing."""
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            result = await obstore.get_async(self._store, key, options={"range": (start, end)})
        chunks = aiter(result.stream(min_chunk_size=_CHUNK))
        while True:
            async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            start += len(chunk)
            yield bytes(chunk)
        if start < end:
            raise EOFError(f"{end - start} bytes are missing")

    async def read(self, key: str) -> bytes:
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

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
            content = b"".join([chunk async for chunk in self.stream(key, 0, 6)])
            await self.delete(key)
        except (BaseError, OSError) as error:
            raise ProcessFault(
                "store_unusable",
                f"can't use the object store {self._name}: {_first_line(error)}",
                "check the bucket, AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ) from error
        if content != b"mosaic":
            raise ProcessFault(
                "store_unusable", f"the object store {self._name} returns other data than was written to it"
            )


class FolderStore(ObjectStore):
    """Objects as files in a folder. Puts are synced to disk, because the record committed next relies on the object."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalStore(folder, mkdir=True, automatic_cleanup=True), str(folder))
        self._folder = folder

    async def put(self, key: str, content: bytes) -> None:
        await asyncio.to_thread(_write, self._folder, key, content)

    async def _sync(self, key: str) -> None:
        await asyncio.to_thread(_fsync_with_parents, self._folder, key)


def _write(folder: Path, key: str, content: bytes) -> None:
    """Not atomic, because nothing refers to the key yet."""
    path = folder / key
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(content)
        except FileNotFoundError:
            # The folder was deleted together with its last file since `mkdir`.
            continue
        break
    _fsync_with_parents(folder, key)


def _fsync_with_parents(folder: Path, key: str) -> None:
    """Sync the file and every folder down to it, since the folders may be new."""
    file = folder / key
    for path in (file, *file.parents[: len(Path(key).parts)]):
        # Missing if the project was deleted meanwhile; then its record won't be written either.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def folder_store(folder: Path) -> ObjectStore:
    return FolderStore(folder)


def open_store(url: str) -> ObjectStore:
    """The store at a `--store` URL: `s3://bucket/prefix`, or `file:///folder` for a folder that all workers share.

    S3's endpoint, region and credentials come from AWS's usual environment variables. Raises ProcessFault.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return folder_store(Path(parts.path))
    if parts.scheme != "s3" or not parts.netloc:
        raise ProcessFault(
            "store_url_invalid",
            f"invalid object store URL: {url!r}",
            "for example: s3://bucket, s3://bucket/prefix or file:///folder",
        )
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    try:
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            # S3 services other than Amazon's expect the bucket in the path.
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=10),
                # `timeout` is for a request together with its whole body, so it would end slow downloads. A store that
                # sends nothing is noticed by `read_timeout`.
                "timeout": timedelta(days=365),
                "read_timeout": timedelta(minutes=5),
            },
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
            config={"endpoint": endpoint} if endpoint else {},
        )
    except BaseError as error:
        message = f"can't open the object store {url}: {_first_line(error)}"
        raise ProcessFault("store_url_invalid", message) from error
    return ObjectStore(store, url)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
