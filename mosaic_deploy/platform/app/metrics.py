"""What operators' tools ask for: the health check, and metrics in Prometheus' text format.

Metrics contain no IDs, names or addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.app.worker_counts import Counts, all_counts
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.version import __version__

_TOTALS = """
SELECT (SELECT count(*) FROM project WHERE status = 'running' AND NOT hidden) AS running,
       (SELECT count(*) FROM project WHERE status = 'provisioning' AND NOT hidden) AS provisioning,
       (SELECT count(*) FROM project WHERE status = 'deleting' AND NOT hidden) AS deleting,
       (SELECT count(*) FROM static_file) AS static_files,
       (SELECT coalesce(sum(size), 0)::bigint FROM static_file) AS static_bytes,
       (SELECT count(*) FROM stored_file) AS stored_files,
       (SELECT coalesce(sum(size), 0)::bigint FROM stored_file) AS stored_bytes
"""
# Prometheus waits for ten seconds by default.
_DATABASE_SECONDS = 3.0
Sample = tuple[Mapping[str, str], float]


def is_metrics_request(platform: Platform, request: Request) -> bool:
    """Whether the request came in at the address that serves only metrics."""
    return platform.metrics_port is not None and request.scope["server"][1] == platform.metrics_port


async def show_health(platform: Platform, _request: Request) -> Response:
    """200 while this process serves requests.

    On a served platform, also while the database restarts: requests then get a better answer here than from a load
    balancer without servers. After a minute the process itself may be cut off from the database.
    """
    if platform.local:
        await control_database.fetch(platform.pool, "SELECT 1")
        return JsonResponse({"status": "ok", "home_id": platform.state.home_id, "version": __version__})
    document = {
        "status": "unavailable" if platform.health.gave_up else "ok",
        "database": "ok" if platform.health.answers else "unavailable",
        "version": __version__,
    }
    return JsonResponse(document, 503 if platform.health.gave_up else 200)


async def show_metrics(platform: Platform, _request: Request) -> Response:
    counts = all_counts(platform)
    held = counts.held
    totals = await _totals(platform)
    lines = [
        *_family("mosaic_build_info", "gauge", "Version in use.", [({"version": __version__}, 1)]),
        *_family("mosaic_workers", "gauge", "Running worker processes.", [({}, held["workers"])]),
        *_family(
            "mosaic_database_up", "gauge", "Whether the control database answers.", [({}, int(bool(totals)))]
        ),
        *_store_owned(platform),
        *_requests(counts),
        *(_contents(totals) if totals else ()),
        *_family(
            "mosaic_control_connections",
            "gauge",
            "Connections to the control database.",
            [({"state": state}, held[f"control_{state}"]) for state in ("busy", "idle")],
        ),
        *_family(
            "mosaic_control_waiting",
            "gauge",
            "Requests waiting for a connection to the control database.",
            [({}, held["control_waiting"])],
        ),
        *_family(
            "mosaic_sql_connections",
            "gauge",
            "Connections to project databases.",
            [({"state": state}, held[f"sql_{state}"]) for state in ("busy", "idle")],
        ),
    ]
    return Response(
        "".join(lines), 200, {"Cache-Control": "no-store"}, "text/plain; version=0.0.4; charset=utf-8"
    )


async def _totals(platform: Platform) -> Mapping[str, int] | None:
    """None if the database doesn't answer in time for Prometheus, which must learn just that."""
    try:
        async with (
            asyncio.timeout(_DATABASE_SECONDS),
            platform.pool.connection(timeout=_DATABASE_SECONDS) as connection,
        ):
            return (await control_database.fetch_rows(connection, _TOTALS))[0]
    except (psycopg.Error, TimeoutError):
        return None


def _contents(totals: Mapping[str, int]) -> Iterable[str]:
    by_status: list[Sample] = [
        ({"status": name}, totals[name]) for name in ("running", "provisioning", "deleting")
    ]
    yield from _family("mosaic_projects", "gauge", "Projects by status.", by_status)
    yield from _family("mosaic_files", "gauge", "Files by kind.", _by_kind(totals, "files"))
    yield from _family("mosaic_file_bytes", "gauge", "Total file size by kind.", _by_kind(totals, "bytes"))


def _store_owned(platform: Platform) -> Iterable[str]:
    if platform.store_claim is not None:
        owned: list[Sample] = [({}, int(platform.store_claim.owned))]
        yield from _family(
            "mosaic_store_owned", "gauge", "0 if another installation uses the object store.", owned
        )


def _requests(counts: Counts) -> Iterable[str]:
    counted: list[Sample] = [
        ({"route": route, "method": method, "status": str(status)}, number)
        for (route, method, status), number in sorted(counts.requests.items())
    ]
    yield from _family(
        "mosaic_requests_total", "counter", "Requests; status 0 if the client disconnected first.", counted
    )
    name = "mosaic_request_seconds"
    yield from _family(name, "histogram", "Time from a request to the end of its response.", [])
    for route, histogram in sorted(counts.latency.items()):
        count = 0
        for bound, count in histogram.cumulative():
            yield _sample(f"{name}_bucket", {"route": route, "le": bound}, count)
        yield _sample(f"{name}_sum", {"route": route}, round(histogram.total, 6))
        yield _sample(f"{name}_count", {"route": route}, count)
    in_flight: list[Sample] = [({}, counts.held["in_flight"])]
    yield from _family("mosaic_requests_under_way", "gauge", "Requests in progress.", in_flight)
    uptime = datetime.now(UTC).timestamp() - counts.started_at
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
