"""Results of SQL for people: every statement's rows in PostgreSQL's own text form, up to a limit."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field

from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.sql import row_stream

SHOWN_ROWS = 500
MAX_BYTES = 32 * 1024 * 1024
Row = list[str | None]


@dataclass
class ResultSet:
    """One statement's result. `tag` is like `SELECT 3`; `count` are all rows, of which `rows` may be the first ones."""

    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    tag: str = ""

    @property
    def omitted(self) -> int:
        return self.count - len(self.rows)


async def read_results(session: Session, query: str, max_rows: int) -> list[ResultSet]:
    """The results of all statements. Raises psycopg.Error, Fault for a COPY, row_stream.ResultTooLarge."""
    results: list[ResultSet] = []
    current: ResultSet | None = None
    stream = row_stream.stream_results(session, query.encode("utf-8", "surrogateescape"), None, MAX_BYTES)
    async with aclosing(stream):
        async for found in stream:
            if found.status in row_stream.COPY_STATUSES:
                await session.close()
                raise Fault(400, "copy_not_supported", "COPY needs psql: see the Connect tab")
            if found.status == ExecStatus.EMPTY_QUERY:
                continue
            if current is None:
                current = ResultSet(_columns(found, row_stream.encoding(session)))
                results.append(current)
            _add_rows(current, found, row_stream.encoding(session), max_rows)
            if found.status != ExecStatus.TUPLES_CHUNK:
                current.tag = (found.command_status or b"").decode()
                current = None
    return results


def _columns(result: PGresult, encoding: str) -> tuple[str, ...]:
    return tuple(
        (result.fname(number) or b"").decode(encoding, "replace") for number in range(result.nfields)
    )


def _add_rows(target: ResultSet, found: PGresult, encoding: str, max_rows: int) -> None:
    room = max(0, max_rows - len(target.rows))
    for row in range(min(room, found.ntuples)):
        values = (found.get_value(row, column) for column in range(found.nfields))
        target.rows.append([None if one is None else one.decode(encoding, "replace") for one in values])
    target.count += found.ntuples
