"""From save to live: how soon a saved file is served over HTTP while `watch` watches a folder of 5,000 files.

    python benchmarks/watch.py [--saves N]

Each save replaces a stylesheet, which one HTTP connection then requests until the new content arrives. Also measured:
CPU use at rest, and a checkout that changes 1,000 files.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench import Bench, embedded_platform

FILES = 5000
CHANGED = 1000
REST_SECONDS = 20.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=200)
    saves = parser.parse_args().saves
    with embedded_platform() as (platform, root):
        measure(Bench(platform, root), saves)


def measure(bench: Bench, saves: int) -> None:
    project, folder = bench.project("watched", "static")
    for number in range(FILES):
        file = folder / f"files/{number % 50:02}/{number}.css"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f".a{number} {{ color: #{number:06x} }}\n" * 20)
    settings = {
        "MOSAIC_API_URL": f"http://127.0.0.1:{bench.platform.port}",
        "MOSAIC_API_KEY": bench.platform.key,
    }
    command = [sys.executable, "-m", "mosaic_deploy", "watch", "--yes", "-o", "ndjson", str(folder)]
    environment = {**os.environ, **settings, "XDG_CACHE_HOME": str(bench.root / "cache")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout
        output = (json.loads(line) for line in watch.stdout)
        read_until(output, "watching")
        # Unread output would fill the pipe and block `watch`.
        lines: list[dict[str, object]] = []
        threading.Thread(target=lambda: lines.extend(output), daemon=True).start()
        time.sleep(3)
        print(f"at rest: {cpu_use(watch.pid):.2%} of one CPU over {REST_SECONDS:.0f} s")
        site = http.client.HTTPConnection("127.0.0.1", bench.platform.port)
        durations = sorted(save(site, project, folder, number) for number in range(saves))
        p99 = durations[min(len(durations) - 1, round(0.99 * len(durations)))]
        print(
            f"save to live, {saves} saves: p50 {statistics.median(durations):.0f} ms, p99 {p99:.0f} ms, max {durations[-1]:.0f} ms"
        )
        lines.clear()
        checkout(site, project, folder, lines)
        watch.terminate()


def read_until(output: Iterator[dict[str, object]], kind: str) -> None:
    for line in output:
        if line["type"] == kind:
            return
        assert line["type"] not in ("error", "apply_failed"), line


def cpu_use(pid: int) -> float:
    """The share of one CPU that a process uses while nothing happens."""

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(REST_SECONDS)
    return (used() - before) / REST_SECONDS


def save(site: http.client.HTTPConnection, project: str, folder: Path, number: int) -> float:
    name = f"{number % 50:02}/{number}.css"
    content = f"/* save {number}, {time.time_ns()} */"
    started = time.perf_counter()
    (folder / "files" / name).write_text(content)
    wait_until_served(site, project, name, content)
    milliseconds = (time.perf_counter() - started) * 1000
    # Lets the run finish before the next save.
    time.sleep(0.2)
    return milliseconds


def wait_until_served(site: http.client.HTTPConnection, project: str, name: str, content: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        site.request("GET", f"/sites/{project}/{name}")
        if site.getresponse().read().decode() == content:
            return
        time.sleep(0.002)
    raise SystemExit(f"{name} was never served")


def checkout(
    site: http.client.HTTPConnection, project: str, folder: Path, lines: list[dict[str, object]]
) -> None:
    names = [f"{number % 50:02}/{number}.css" for number in range(FILES - CHANGED, FILES)]
    started = time.perf_counter()
    for name in names:
        (folder / "files" / name).write_text(f"/* checked out {name} */")
    written = time.perf_counter()
    for name in names:
        wait_until_served(site, project, name, f"/* checked out {name} */")
    live = time.perf_counter()
    time.sleep(1)
    runs = [line for line in lines if line["type"] == "live"]
    print(
        f"{CHANGED} files written in {written - started:.2f} s, live {live - written:.2f} s after the last, "
        f"in {len(runs)} run{'' if len(runs) == 1 else 's'}"
    )


if __name__ == "__main__":
    main()
