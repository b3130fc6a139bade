"""What each worker process counts, and the sum over all workers of one `platform serve`.

Each worker writes its counts to a file of its own in a folder that the workers share. A worker that ended leaves its
file, so counters of requests never go down. What it held (connections, requests in progress) counts no more.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.http.request_journal import Histogram
from mosaic_deploy.platform.services import Platform

PUBLISH_SECONDS = 1.0


@dataclass
class Counts:
    """`held` are gauges by name; `started_at` is the start of the oldest running worker, in seconds since the epoch."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    latency: dict[str, Histogram] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    started_at: float = 0.0

    def add(self, other: Counts, *, running: bool) -> None:
        self.requests.update(other.requests)
        for route, histogram in other.latency.items():
            mine = self.latency.setdefault(route, Histogram())
            mine.buckets = [one + two for one, two in zip(mine.buckets, histogram.buckets, strict=True)]
            mine.total += histogram.total
        if running:
            self.held.update(other.held)
            self.started_at = min(self.started_at or other.started_at, other.started_at)

    def document(self) -> dict[str, Any]:
        return {
            "requests": [[*key, number] for key, number in self.requests.items()],
            "latency": {
                route: {"buckets": one.buckets, "total": one.total} for route, one in self.latency.items()
            },
            "held": dict(self.held),
            "started_at": self.started_at,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Counts:
        return cls(
            Counter({(route, method, status): n for route, method, status, n in document["requests"]}),
            {route: Histogram(**one) for route, one in document["latency"].items()},
            Counter(document["held"]),
            document["started_at"],
        )


def own_counts(platform: Platform) -> Counts:
    """This process's, now."""
    journal, pool, sessions = platform.journal, platform.pool.get_stats(), platform.sessions.counts()
    idle = pool.get("pool_available", 0)
    held = {
        "workers": 1,
        "in_flight": journal.in_flight,
        "control_busy": pool.get("pool_size", 0) - idle,
        "control_idle": idle,
        "control_waiting": pool.get("requests_waiting", 0),
        "sql_busy": sessions["busy"],
        "sql_idle": sessions["idle"],
    }
    return Counts(journal.counts, journal.latency, Counter(held), journal.started_at.timestamp())


def all_counts(platform: Platform) -> Counts:
    """The sum of all workers; those of others are up to a second old."""
    total = Counts()
    total.add(own_counts(platform), running=True)
    for path in Path(platform.counts_folder).glob("*.json") if platform.counts_folder else ():
        pid = int(path.stem)
        if pid != os.getpid():
            with suppress(OSError, ValueError):
                total.add(Counts.from_document(json.loads(path.read_bytes())), running=_is_running(pid))
    return total


async def publish_counts(platform: Platform) -> None:
    """Writes this process's file every second, until cancelled; the last time when it is cancelled."""
    path = Path(platform.counts_folder) / f"{os.getpid()}.json"
    try:
        while True:
            _write(path, own_counts(platform))
            await asyncio.sleep(PUBLISH_SECONDS)
    finally:
        _write(path, own_counts(platform))


def _write(path: Path, counts: Counts) -> None:
    with suppress(OSError):
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(counts.document()))
        temporary.replace(path)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
