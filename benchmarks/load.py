"""A load generator in its own process: sends requests on several connections for some seconds.

As a program it reads a JSON plan from stdin and prints the result as JSON; `apply_load` runs it that way. Requests
are encoded before the clock starts and responses are only read, not parsed, so the server is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

CLIENTS = 8


@dataclass(frozen=True)
class Request:
    """One request. `padding` bytes are added to its body when it is sent, which keeps the plan small."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    padding: int = 0

    def encoded(self) -> bytes:
        body = self.body.encode() + b"x" * self.padding
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if body or self.method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Result:
    """Requests per second, and the median and 99th percentile of their seconds."""

    per_second: float
    median: float
    p99: float

    def __str__(self) -> str:
        return f"{self.per_second:.0f}/s, {1000 * self.median:.1f} / {1000 * self.p99:.1f} ms"


def apply_load(port: int, requests: Sequence[Request], seconds: float, clients: int = CLIENTS) -> Result:
    """Raises RuntimeError if a response isn't a success."""
    plan = {
        "port": port,
        "clients": clients,
        "seconds": seconds,
        "requests": [asdict(one) for one in requests],
    }
    process = subprocess.run(
        [sys.executable, __file__], input=json.dumps(plan), capture_output=True, text=True, check=False
    )
    if process.returncode != 0:
        raise RuntimeError(process.stderr[-2000:])
    return Result(**json.loads(process.stdout))


async def _load(port: int, requests: list[bytes], clients: int, seconds: float) -> Result:
    durations: list[float] = []
    started = time.perf_counter()
    end = started + seconds
    await asyncio.gather(
        *(_client(port, requests[number:] + requests[:number], end, durations) for number in range(clients))
    )
    elapsed = time.perf_counter() - started
    percentiles = statistics.quantiles(durations, n=100)
    return Result(len(durations) / elapsed, percentiles[49], percentiles[98])


async def _client(port: int, requests: list[bytes], end: float, durations: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    while (started := time.perf_counter()) < end:
        writer.write(requests[sent % len(requests)])
        await writer.drain()
        await _read_response(reader)
        durations.append(time.perf_counter() - started)
        sent += 1
    writer.close()


async def _read_response(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(head.decode() + (await reader.read(1000)).decode(errors="replace"))
    _, named, rest = head.partition(b"\r\ncontent-length:")
    if named:
        await reader.readexactly(int(rest.partition(b"\r\n")[0]))


def main() -> None:
    plan = json.load(sys.stdin)
    requests = [Request(**one).encoded() for one in plan["requests"]]
    result = asyncio.run(_load(plan["port"], requests, plan["clients"], plan["seconds"]))
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
