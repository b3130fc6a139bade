"""Watches a long SQL request from outside: which file runs, and how far PostgreSQL is with an index, a VACUUM or a CLUSTER."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import StillRunning
from mosaic_deploy.sql.execution.records import done_condition
from mosaic_deploy.sql.execution.step import Step

FIRST_REPORT = 2.0
"""Seconds before the first report; also those between two reports."""
_MAX_FILES = 100
"""Files whose place is looked up; a request has at most as many steps."""

# The views show only the role's own connections. Of several indexes the newest is shown.
_WORK = """SELECT phase, done, total FROM (
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
    api: Api, project: str, steps: Sequence[Step], report: Callable[[StillRunning], None] | None
) -> Iterator[None]:
    """Calls `report` in a thread of its own every few seconds, until the block ends.

    The file is the first of `steps` that the ledger doesn't have; in one transaction for all, which others can't look into, the
    first one.
    """
    if report is None:
        yield
        return
    ended = threading.Event()
    # A later step of a file replaces an earlier one.
    files = {step.file: done_condition(step) for step in steps[:_MAX_FILES]}
    watcher = threading.Thread(
        target=_watch, args=(api, project, files, report, ended), name="mosaic progress", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        ended.set()


def _watch(
    api: Api,
    project: str,
    files: dict[str, str],
    report: Callable[[StillRunning], None],
    ended: threading.Event,
) -> None:
    names = list(files)
    query = _query([*files.values()])
    place, began = 0, time.monotonic()
    looked = began
    readable = True
    while not ended.wait(FIRST_REPORT):
        phase, fraction = None, None
        if readable:
            try:
                now, phase, fraction = _read_progress(api, project, query)
            except MosaicError:
                readable = False
            else:
                # The file began since the last look.
                place, began = (now, looked) if now > place else (place, began)
        looked = time.monotonic()
        if not ended.is_set():
            report(StillRunning(names[place], looked - began, phase, fraction))


def _query(done: Sequence[str]) -> str:
    """Returns one row: `place`, the number of the first file that isn't done (from 0), and how far its statement is."""
    cases = " ".join(f"WHEN NOT ({condition}) THEN {place}" for place, condition in enumerate(done))
    return f"SELECT CASE {cases} ELSE {len(done) - 1} END AS place, work.* FROM (SELECT) AS one LEFT JOIN ({_WORK}) AS work ON true"


def _read_progress(api: Api, project: str, query: str) -> tuple[int, str | None, float | None]:
    """The place, the phase, and the part of it that is done; None if nothing is running that PostgreSQL measures."""
    rows = api.sql(project, query, idempotent=False)
    row = rows[0] if rows else {}
    place, done, total = (int(row.get(name) or 0) for name in ("place", "done", "total"))
    if not row.get("phase"):
        return place, None, None
    return place, str(row["phase"]), min(1.0, done / total) if total else None
