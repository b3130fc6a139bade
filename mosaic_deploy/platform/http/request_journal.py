"""The request journal of one process: the latest requests, and counts and latencies of all of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

MAX_RECENT = 200
# Seconds. Only migrations and uploads reach the last buckets.
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request and its outcome. `path` is without the query, which may hold a signature or a sign-in token.

    `route` is the matched pattern. `status` is 0 if the client disconnected before the response began. `error` is an
    error response's `error` object as text, as far as it fits; `project_id` may be one that doesn't exist.
    """

    request_id: str
    method: str
    path: str
    route: str
    status: int
    milliseconds: float
    # The client's address, as a trusted proxy reports it. Only in the log.
    client: str = ""
    # Whether the response ended early, because the store failed or the platform stopped.
    cut_off: bool = False
    project_id: str = ""
    error: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Histogram:
    """Counts of durations in seconds, by bucket; the last bucket has no upper bound. `total` is their sum."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Pairs of upper bound and number of durations up to it, as Prometheus expects them."""
        count = 0
        for bound, number in zip([*map(str, LATENCY_BOUNDS), "+Inf"], self.buckets, strict=True):
            count += number
            yield bound, count


class RequestJournal:
    def __init__(self) -> None:
        self.recent: deque[RequestRecord] = deque(maxlen=MAX_RECENT)
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.latency: dict[str, Histogram] = {}
        self.in_flight = 0
        self.started_at = datetime.now(UTC)

    def add(self, request_record: RequestRecord) -> None:
        # Clients can make up methods; each would add a time series.
        method = request_record.method if request_record.method in _METHODS else "other"
        # The dashboard's own requests and health checks would drown the others.
        if request_record.route.startswith(_LISTED_ROUTES):
            self.recent.appendleft(request_record)
        self.counts[request_record.route, method, request_record.status] += 1
        self.latency.setdefault(request_record.route, Histogram()).add(request_record.milliseconds / 1000)


_LISTED_ROUTES = ("/v1/", "/upload/", "site", "unmatched")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
