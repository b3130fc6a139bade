"""What has been answered: the last requests one by one, all of them as numbers. One journal per process."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

MAX_RECENT = 200
# Seconds. The last ones are those of migrations and uploads.
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request with its answer. `path` has no query: an upload's signature and a sign-in token would be in it.

    `route` is one of the few patterns the platform knows. Status 0: the client left before there was one.
    """

    request_id: str
    method: str
    path: str
    route: str
    status: int
    milliseconds: float
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Histogram:
    """Seconds, counted by bucket; the last bucket has no bound."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """(upper bound, how many are not above it), as Prometheus wants them."""
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
        # A made-up method would make a new series for each.
        method = request_record.method if request_record.method in _METHODS else "other"
        # Whoever looks at the requests doesn't mean the looking, nor the questions whether all is well.
        if request_record.route.startswith(_LISTED_ROUTES):
            self.recent.appendleft(request_record)
        self.counts[request_record.route, method, request_record.status] += 1
        self.latency.setdefault(request_record.route, Histogram()).add(request_record.milliseconds / 1000)


_LISTED_ROUTES = ("/v1/", "/upload/", "site", "unmatched")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
