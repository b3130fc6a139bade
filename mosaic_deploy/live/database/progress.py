"""Watches a long SQL request from outside: how far PostgreSQL is with an index, a VACUUM or a CLUSTER."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import StillRunning

FIRST_REPORT = 2.0
"""Seconds before the first report; also those between two reports."""

# The views show only the role's own connections. Of several indexes the newest is shown.
_QUERY = """SELECT phase, done, total FROM (
  SELECT pid, phase, GREATEST(blocks_done, tuples_done) AS done,
    CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END AS total
  FROM pg_catalog.pg_stat_progress_create_index WHERE datname = pg_catalog.current_database()
  UNION ALL SELECT pid, phase, heap_blks_scanned, heap_blks_total
  FROM pg_catalog.pg_stat_progress_vacuum WHERE datname = pg_catalog.current_database()
  UNION ALL SELECT pid, phase, heap_blks_scanned, heap_blks_total
  FROM pg_catalog.pg_stat_progress_cluster WHERE datname = pg_catalog.current_database()
) AS work LEFT JOIN pg_catalog.pg_stat_activity AS session USING (pid)
WHERE session.usename = current_user ORDER BY session.query_start DESC LIMIT 1"""


@contextmanager
def reporting_progress(
    api: Api, project: str, file: str, report: Callable[[StillRunning], None] | None
) -> Iterator[None]:
    """Calls `report` in a thread of its own every few seconds, until the block ends."""
    if report is None:
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(api, project, file, report, ended), name="mosaic progress", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        ended.set()


def _watch(
    api: Api, project: str, file: str, report: Callable[[StillRunning], None], ended: threading.Event
) -> None:
    began = time.monotonic()
    readable = True
    while not ended.wait(FIRST_REPORT):
        phase, fraction = None, None
        if readable:
            try:
                phase, fraction = _read_progress(api, project)
            except MosaicError:
                readable = False
        if not ended.is_set():
            report(StillRunning(file, time.monotonic() - began, phase, fraction))


def _read_progress(api: Api, project: str) -> tuple[str | None, float | None]:
    """The phase, and the part of it that is done; None if nothing is running that PostgreSQL measures."""
    rows = api.sql(project, _QUERY, idempotent=False)
    if not rows or not rows[0].get("phase"):
        return None, None
    done, total = (int(rows[0].get(name) or 0) for name in ("done", "total"))
    return str(rows[0]["phase"]), min(1.0, done / total) if total else None
