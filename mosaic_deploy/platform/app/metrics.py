"""Metrics in Prometheus' text format. They contain no IDs, names or addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.http.request_journal import RequestJournal
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.version import __version__

_TOTALS = """
SELECT (SELECT count(*) FROM project WHERE status = 'running') AS running,
       (SELECT count(*) FROM project WHERE status <> 'running') AS provisioning,
       (SELECT count(*) FROM static_file) AS static_files,
       (SELECT coalesce(sum(size), 0)::bigint FROM static_file) AS static_bytes,
       (SELECT count(*) FROM stored_file) AS stored_files,
       (SELECT coalesce(sum(size), 0)::bigint FROM stored_file) AS stored_bytes
"""
Sample = tuple[Mapping[str, str], float]


async def show_metrics(platform: Platform, _request: Request) -> Response:
    totals = await control_database.fetch_one(platform.pool, _TOTALS)
    assert totals is not None
    pool = platform.pool.get_stats()
    open_now = pool.get("pool_size", 0)
    idle = pool.get("pool_available", 0)
    lines = [
        *_family("mosaic_build_info", "gauge", "Version in use.", [({"version": __version__}, 1)]),
        *_requests(platform.journal),
        *_family(
            "mosaic_projects",
            "gauge",
            "Projects by status.",
            [({"status": name}, totals[name]) for name in ("running", "provisioning")],
        ),
        *_family("mosaic_files", "gauge", "Files by kind.", _by_kind(totals, "files")),
        *_family("mosaic_file_bytes", "gauge", "Total file size by kind.", _by_kind(totals, "bytes")),
        *_family(
            "mosaic_control_connections",
            "gauge",
            "Connections to the control database.",
            [({"state": "busy"}, open_now - idle), ({"state": "idle"}, idle)],
        ),
        *_family(
            "mosaic_control_waiting",
            "gauge",
            "Requests waiting for a connection to the control database.",
            [({}, pool.get("requests_waiting", 0))],
        ),
        *_family(
            "mosaic_sql_connections",
            "gauge",
            "Connections to project databases.",
            [({"state": name}, number) for name, number in platform.sessions.counts().items()],
        ),
    ]
    return Response(
        "".join(lines), 200, {"Cache-Control": "no-store"}, "text/plain; version=0.0.4; charset=utf-8"
    )


def _requests(journal: RequestJournal) -> Iterable[str]:
    counted: list[Sample] = [
        ({"route": route, "method": method, "status": str(status)}, number)
        for (route, method, status), number in sorted(journal.counts.items())
    ]
    yield from _family(
        "mosaic_requests_total", "counter", "Requests; status 0 if the client disconnected first.", counted
    )
    name = "mosaic_request_seconds"
    yield from _family(name, "histogram", "Time from a request to the end of its response.", [])
    for route, histogram in sorted(journal.latency.items()):
        count = 0
        for bound, count in histogram.cumulative():
            yield _sample(f"{name}_bucket", {"route": route, "le": bound}, count)
        yield _sample(f"{name}_sum", {"route": route}, round(histogram.total, 6))
        yield _sample(f"{name}_count", {"route": route}, count)
    yield from _family(
        "mosaic_requests_under_way", "gauge", "Requests in progress.", [({}, journal.in_flight)]
    )
    uptime = (datetime.now(UTC) - journal.started_at).total_seconds()
    yield from _family("mosaic_uptime_seconds", "gauge", "Time since the start.", [({}, round(uptime))])


def _by_kind(totals: Mapping[str, int], unit: str) -> list[Sample]:
    return [({"kind": kind}, totals[f"{kind}_{unit}"]) for kind in ("static", "stored")]


def _family(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> Iterable[str]:
    yield f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    label_text = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{label_text}}} {value}\n" if label_text else f"{name} {value}\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
