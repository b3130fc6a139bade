"""A bounded load from a process of its own: requests kept going on some connections for some seconds.

As a program it reads one plan as JSON on stdin and prints what came of it; `apply_load` runs it so. Requests are
whole before the clock starts, and answers are read no further than their length: what it measures is the server.
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
class Asked:
    """One request. A body of `padding` bytes is added, so that the plan itself stays small."""

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
    """Seconds, and how many requests were answered in one."""

    per_second: float
    middle: float
    slowest_hundredth: float

    def __str__(self) -> str:
        return f"{self.per_second:.0f}/s, {1000 * self.middle:.1f} / {1000 * self.slowest_hundredth:.1f} ms"


def apply_load(port: int, requests: Sequence[Asked], seconds: float, clients: int = CLIENTS) -> Result:
    """Raises RuntimeError where one answer isn't a success."""
    plan = {
        "port": port,
        "clients": clients,
        "seconds": seconds,
        "requests": [asdict(one) for one in requests],
    }
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(plan), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return Result(**json.loads(done.stdout))


async def _load(port: int, requests: list[bytes], clients: int, seconds: float) -> Result:
    taken: list[float] = []
    begun = time.perf_counter()
    end = begun + seconds
    await asyncio.gather(
        *(_client(port, requests[number:] + requests[:number], end, taken) for number in range(clients))
    )
    spent = time.perf_counter() - begun
    cuts = statistics.quantiles(taken, n=100)
    return Result(len(taken) / spent, cuts[49], cuts[98])


async def _client(port: int, requests: list[bytes], end: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = 0
    while (begun := time.perf_counter()) < end:
        writer.write(requests[turn % len(requests)])
        await writer.drain()
        await _read_answer(reader)
        taken.append(time.perf_counter() - begun)
        turn += 1
    writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(head.decode() + (await reader.read(1000)).decode(errors="replace"))
    _, named, rest = head.partition(b"\r\ncontent-length:")
    if named:
        await reader.readexactly(int(rest.partition(b"\r\n")[0]))


def main() -> None:
    plan = json.load(sys.stdin)
    requests = [Asked(**one).encoded() for one in plan["requests"]]
    result = asyncio.run(_load(plan["port"], requests, plan["clients"], plan["seconds"]))
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
