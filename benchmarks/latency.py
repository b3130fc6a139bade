"""A TCP proxy that delays every byte in both directions, as a network does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def delayed(port: int, round_trip: float) -> Iterator[int]:
    """The port of a proxy to 127.0.0.1:`port` that adds `round_trip` seconds to each exchange."""
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(
            lambda r, w: _connection(r, w, port, round_trip / 2), "127.0.0.1", 0
        )
        ready.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            await server.serve_forever()

    def run() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            loop.run_until_complete(serve())

    threading.Thread(target=run, daemon=True).start()
    started.wait(10)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(_cancel_all, loop)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Includes the server's task, so the thread ends."""
    for task in asyncio.all_tasks(loop):
        task.cancel()


async def _connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay: float
) -> None:
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_pipe(reader, inner_writer, delay), _pipe(inner_reader, writer, delay))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Forwards chunks in order, each `delay` seconds after it arrived; delays don't add up."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                with contextlib.suppress(OSError):
                    writer.close()
                return
            writer.write(chunk)
            with contextlib.suppress(OSError):
                await writer.drain()

    sending = asyncio.create_task(send())
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            chunks.put_nowait((loop.time() + delay, chunk))
    chunks.put_nowait((loop.time() + delay, b""))
    await sending
