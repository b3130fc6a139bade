"""A process that parses large JSON documents: the parser holds Python's lock, so no thread could serve meanwhile.

Documents go to it, and their long texts come back, in pieces: copying 34 MiB at once takes this process longer than a small
request does, and a text is copied with every conversion. It is started by the first large document and ends with this
process, however that ends.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from mosaic_deploy.platform.copying import LARGE_BYTES, in_thread
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.json_text import LongText
from mosaic_deploy.platform.http.json_worker import END, LENGTH_BYTES, PIECE_BYTES

INLINE_BYTES = 256 * 1024
"""Smaller documents take milliseconds, less than sending them to another process."""
_COMMAND = (sys.executable, "-P", "-m", "mosaic_deploy.platform.http.json_worker")
PARSE_SECONDS = 30.0
"""The slowest document takes a second of a processor. Others wait for it, so a process that doesn't answer is replaced."""
# OSError also if it can't be started, and when the time is over.
_LOST = (OSError, asyncio.IncompleteReadError)

log = logging.getLogger(__name__)


async def parse_in_process(pieces: Sequence[bytes]) -> Any:
    """As `json_text.parse`, and like it raises ValueError and RecursionError. Long texts are LongText.

    Raises Fault (503) if the process is lost twice, for example for lack of memory: the document may be valid.
    """
    parser = _parser()
    async with parser.turn:
        for _ in range(2):
            try:
                async with asyncio.timeout(PARSE_SECONDS):
                    return await parser.parse(pieces)
            except _LOST as error:
                late = f"it didn't answer within {PARSE_SECONDS:g} seconds"
                reason = late if isinstance(error, TimeoutError) else f"it ended ({type(error).__name__})"
                fields = {"message": f"the parser of large requests is replaced: {reason}"}
                log.warning("parser lost", extra={"fields": fields})
    message = "large requests can't be parsed at the moment; nothing was changed; try again"
    raise Fault(503, "request_not_parsed", message, headers={"Retry-After": "1"})


async def stop() -> None:
    """End the process, if there is one."""
    if _Parser.current is not None:
        await _Parser.current.stop()
        _Parser.current = None


class _Parser:
    """The process of one event loop."""

    current: _Parser | None = None

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn = asyncio.Lock()
        self.process: asyncio.subprocess.Process | None = None

    async def parse(self, pieces: Sequence[bytes]) -> Any:
        """Only one at a time."""
        if self.process is None:
            self.process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2 * PIECE_BYTES,
            )
        try:
            await self._send(pieces)
            kind, value = pickle.loads(b"".join(await self._receive()))  # noqa: S301 (our own process wrote it)
            for text in value.values() if isinstance(value, dict) else ():
                if isinstance(text, LongText):
                    text.encoded = await _joined(await self._receive())
        except BaseException:
            # Whatever it still sends belongs to this document.
            await self.stop()
            raise
        if kind == "parsed":
            return value
        raise {"too deep": RecursionError, "not UTF-8": UnicodeError}.get(kind, ValueError)(value)

    async def _send(self, pieces: Sequence[bytes]) -> None:
        assert self.process is not None and self.process.stdin is not None
        for piece in pieces:
            if piece:
                self.process.stdin.writelines((len(piece).to_bytes(LENGTH_BYTES), piece))
                await self.process.stdin.drain()
        self.process.stdin.write(END)
        await self.process.stdin.drain()

    async def _receive(self) -> list[bytes]:
        assert self.process is not None and self.process.stdout is not None
        pieces = []
        while size := int.from_bytes(await self.process.stdout.readexactly(LENGTH_BYTES)):
            pieces.append(await self.process.stdout.readexactly(size))
        return pieces

    async def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _joined(pieces: list[bytes]) -> bytes:
    join = partial(b"".join, pieces)
    return join() if sum(map(len, pieces)) < LARGE_BYTES else await in_thread(join)


def _parser() -> _Parser:
    if _Parser.current is None or _Parser.current.loop is not asyncio.get_running_loop():
        _Parser.current = _Parser()
    return _Parser.current
