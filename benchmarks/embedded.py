"""The embedded platform: start time, memory at rest, and request rates compared with an empty response.

    python benchmarks/embedded.py [SECONDS]

The baseline is uvicorn with the same settings, on which Starlette sends an empty response. The load comes from a
second process on the same machine. Rounds alternate between the baseline and an operation; each number is a median,
and each ratio compares an operation with the baseline right before it.
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

from load import Request, Result, apply_load
from operations import prepare_requests
from started_platform import create_project, run_platform

from mosaic_deploy.platform.machine.ports import free_port

ROUNDS = 5
_BASELINE = """
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
    """Times of the `start` command, including the Python interpreter."""
    first, later, running = [], [], []
    for _ in range(3):
        run_platform(home, "reset")
        shutil.rmtree(home, ignore_errors=True)
        first.append(_timed(home, "start"))
        for _ in range(2):
            run_platform(home, "stop")
            later.append(_timed(home, "start"))
            running.append(_timed(home, "start"))
    run_platform(home, "stop")
    return [
        ("first start, PostgreSQL unpacked and initialized", f"{statistics.median(first):.2f} s"),
        ("later start", f"{statistics.median(later):.2f} s"),
        ("start when already running", f"{statistics.median(running):.2f} s"),
    ]


def _timed(home: Path, *arguments: str) -> float:
    started = time.perf_counter()
    assert run_platform(home, *arguments)["exit_code"] == 0
    return time.perf_counter() - started


def _memory(home: Path) -> list[tuple[str, str]]:
    """Half a minute after the start, when background work has finished. Shared pages are split among processes."""
    pid = int((home / "serve.pid").read_text())
    time.sleep(30)
    server, database = _memory_of(pid), sum(_memory_of(one) for one in _descendants(pid))
    return [
        ("memory at rest, web server", f"{server >> 20} MB"),
        ("memory at rest, PostgreSQL", f"{database >> 20} MB"),
    ]


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    children = [int(line) for line in listed.stdout.split()]
    return children + [below for child in children for below in _descendants(child)]


def _memory_of(pid: int) -> int:
    """Bytes, by Linux's proportional set size."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def _baseline() -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", _BASELINE, str(port)], env={**os.environ})
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
    results: dict[str, list[Result]] = {}
    ratios: dict[str, list[float]] = {}
    empty = [Request("GET", "/", {"Host": "127.0.0.1"})]
    with _baseline() as baseline_port, httpx.Client(base_url=url, headers=api, timeout=60) as client:
        for _ in range(ROUNDS):
            for name, requests in prepare_requests(
                client, project, f"{project}.localhost:{port}", api
            ).items():
                baseline = apply_load(baseline_port, empty, seconds)
                results.setdefault("baseline: an empty response", []).append(baseline)
                result = apply_load(port, requests, seconds)
                results.setdefault(name, []).append(result)
                ratios.setdefault(name, []).append(baseline.per_second / result.per_second)
    print("| operation | requests per second | median | p99 | of the baseline |\n|---|---:|---:|---:|---:|")
    for name, rounds in results.items():
        rate, median, p99 = (
            statistics.median(getattr(one, field) for one in rounds)
            for field in ("per_second", "median", "p99")
        )
        ratio = f"1/{statistics.median(ratios[name]):.1f}" if name in ratios else "1"
        print(f"| {name} | {rate:.0f} | {1000 * median:.1f} ms | {1000 * p99:.1f} ms | {ratio} |")


if __name__ == "__main__":
    main()
