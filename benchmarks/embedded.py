"""The embedded platform: how fast it starts, what it holds at rest, and how much of the web server's speed is left.

    python benchmarks/embedded.py [SECONDS]

The floor is the same server, uvicorn with the same settings, on which Starlette answers an empty request. The load
comes from a second process on the same machine. Rounds alternate between floor and operations; each number is the
median of its rounds, and each ratio is of two neighbours.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from load import Asked, Result, apply_load
from operations import prepared
from started_platform import create_project, run_platform

from mosaic_deploy.platform.machine.ports import free_port

ROUNDS = 5
_FLOOR = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
async def empty(_):
    return Response()
app = Starlette(routes=[Route("/", empty)])
uvicorn.run(app, port=int(sys.argv[1]), ws="none", lifespan="off", log_config=None, access_log=False)
"""


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        home = Path(name) / "home"
        try:
            starts = _starts(home)
            url = run_platform(home, "start", "--port", str(free_port()))["url"]
            print("| | |\n|---|---:|")
            for label, value in (*starts, *_memory(home)):
                print(f"| {label} | {value} |")
            print()
            _compare(home, url, seconds)
        finally:
            run_platform(home, "reset")


def _starts(home: Path) -> list[tuple[str, str]]:
    """The process contract's own command, from a shell's view: interpreter and all."""
    cold, warm, found = [], [], []
    for _ in range(3):
        run_platform(home, "reset")
        shutil.rmtree(home, ignore_errors=True)
        cold.append(_timed(home, "start"))
        for _ in range(2):
            run_platform(home, "stop")
            warm.append(_timed(home, "start"))
            found.append(_timed(home, "start"))
    run_platform(home, "stop")
    return [
        ("first start, PostgreSQL unpacked and initialised", f"{statistics.median(cold):.2f} s"),
        ("later start", f"{statistics.median(warm):.2f} s"),
        ("start where it runs already", f"{statistics.median(found):.2f} s"),
    ]


def _timed(home: Path, *arguments: str) -> float:
    begun = time.perf_counter()
    assert run_platform(home, *arguments)["exit_code"] == 0
    return time.perf_counter() - begun


def _memory(home: Path) -> list[tuple[str, str]]:
    """Half a minute after the start nothing is under way any more. Shared pages are split among those who share."""
    pid = int((home / "serve.pid").read_text())
    time.sleep(30)
    server, database = _proportional(pid), sum(_proportional(one) for one in _family(pid))
    return [
        ("memory at rest, web server", f"{server >> 20} MB"),
        ("memory at rest, PostgreSQL", f"{database >> 20} MB"),
    ]


def _family(pid: int) -> list[int]:
    """All processes below one."""
    said = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    children = [int(line) for line in said.stdout.split()]
    return children + [below for child in children for below in _family(child)]


def _proportional(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def _floor() -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", _FLOOR, str(port)], env={**os.environ})
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/").raise_for_status()
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                break
        yield port
    finally:
        server.terminate()
        server.wait()


def _compare(home: Path, url: str, seconds: float) -> None:
    key = run_platform(home, "key")["api_key"]
    port = int(url.rpartition(":")[2])
    api = {"Host": f"127.0.0.1:{port}", "X-API-Key": key}
    project = create_project(url, key, "Load")
    taken: dict[str, list[Result]] = {}
    ratios: dict[str, list[float]] = {}
    empty = [Asked("GET", "/", {"Host": "127.0.0.1"})]
    with _floor() as floor_port, httpx.Client(base_url=url, headers=api, timeout=60) as client:
        for _ in range(ROUNDS):
            for name, requests in prepared(client, project, f"{project}.localhost:{port}", api).items():
                floor = apply_load(floor_port, empty, seconds)
                taken.setdefault("the floor: an empty answer", []).append(floor)
                found = apply_load(port, requests, seconds)
                taken.setdefault(name, []).append(found)
                ratios.setdefault(name, []).append(floor.per_second / found.per_second)
    print(
        "| operation | requests a second | middle | slowest hundredth | floor's speed |\n|---|---:|---:|---:|---:|"
    )
    for name, results in taken.items():
        rate, middle, slow = (
            statistics.median(getattr(one, field) for one in results)
            for field in ("per_second", "middle", "slowest_hundredth")
        )
        ratio = f"1/{statistics.median(ratios[name]):.1f}" if name in ratios else "1"
        print(f"| {name} | {rate:.0f} | {1000 * middle:.1f} ms | {1000 * slow:.1f} ms | {ratio} |")


if __name__ == "__main__":
    main()
