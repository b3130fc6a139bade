"""From save to live: how soon a saved file is seen over HTTP while `watch` follows a folder of 5,000 files.

    python benchmarks/watch.py [--saves N]

A save replaces a stylesheet's content; a connection that is kept asks for it again and again until the new content
comes. Beside that: the processor's share at rest, and a checkout that touches 1,000 files.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from files import Bench
from migrations import start

FILES = 5000
TOUCHED = 1000
REST = 20.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=200)
    saves = parser.parse_args().saves
    with tempfile.TemporaryDirectory() as place:
        platform = start(Path(place) / "home")
        try:
            measure(Bench(platform, Path(place)), saves)
        finally:
            stop = [sys.executable, "-m", "mosaic_deploy.platform", "reset"]
            environment = {**os.environ, "MOSAIC_HOME": str(platform.home)}
            subprocess.run(stop, env=environment, capture_output=True, check=False)


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
        said = (json.loads(line) for line in watch.stdout)
        until(said, "watching")
        # What is said while nobody reads would stop the watch.
        lines: list[dict[str, object]] = []
        threading.Thread(target=lambda: lines.extend(said), daemon=True).start()
        time.sleep(3)
        print(f"at rest: {at_rest(watch.pid):.2%} of one processor over {REST:.0f} s")
        site = http.client.HTTPConnection("127.0.0.1", bench.platform.port)
        spent = sorted(one_save(site, project, folder, number) for number in range(saves))
        p99 = spent[min(len(spent) - 1, round(0.99 * len(spent)))]
        print(
            f"save to live, {saves} saves: p50 {statistics.median(spent):.0f} ms, p99 {p99:.0f} ms, most {spent[-1]:.0f} ms"
        )
        lines.clear()
        checkout(site, project, folder, lines)
        watch.terminate()


def until(said: Iterator[dict[str, object]], kind: str) -> None:
    for line in said:
        if line["type"] == kind:
            return
        assert line["type"] not in ("error", "apply_failed"), line


def at_rest(pid: int) -> float:
    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(REST)
    return (used() - before) / REST


def one_save(site: http.client.HTTPConnection, project: str, folder: Path, number: int) -> float:
    name = f"{number % 50:02}/{number}.css"
    content = f"/* save {number}, {time.time_ns()} */"
    began = time.perf_counter()
    (folder / "files" / name).write_text(content)
    seen(site, project, name, content)
    spent = (time.perf_counter() - began) * 1000
    # The run's end, and a person's pause.
    time.sleep(0.2)
    return spent


def seen(site: http.client.HTTPConnection, project: str, name: str, content: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        site.request("GET", f"/sites/{project}/{name}")
        if site.getresponse().read().decode() == content:
            return
        time.sleep(0.002)
    raise SystemExit(f"{name} was never seen")


def checkout(
    site: http.client.HTTPConnection, project: str, folder: Path, lines: list[dict[str, object]]
) -> None:
    names = [f"{number % 50:02}/{number}.css" for number in range(FILES - TOUCHED, FILES)]
    began = time.perf_counter()
    for name in names:
        (folder / "files" / name).write_text(f"/* checked out {name} */")
    written = time.perf_counter()
    for name in names:
        seen(site, project, name, f"/* checked out {name} */")
    live = time.perf_counter()
    time.sleep(1)
    runs = [line for line in lines if line["type"] == "live"]
    print(
        f"{TOUCHED} files written in {written - began:.2f} s, live {live - written:.2f} s after the last, "
        f"in {len(runs)} run{'' if len(runs) == 1 else 's'}"
    )


if __name__ == "__main__":
    main()
