"""PL/pgSQL for rehearsals: which locks a step's transaction holds after each statement, on what existed before the rehearsal.

An apply never has it. What each statement took, scanned and rewrote follows from the differences, in `deploy/rehearsal`. Scans are
PostgreSQL's own counters (`pg_stat_get_xact_numscans`), rewrites are new files (`relfilenode`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from mosaic_deploy.sql.marker import MARKER, SPLIT_MARKER
from mosaic_deploy.sql.parse import Statement

LOCK_MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
"""PostgreSQL's table locks, the weakest first. A mode's rank is its place from 1."""
_FIRST_USER_OID = 16384
ROW_KINDS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"})
"""Statements about rows. Large files are full of them."""
_LOCK_NOTHING = frozenset({"VariableSetStmt", "TransactionStmt"})


class HeldLock(NamedTuple):
    """A relation's strongest lock as a rank (0 for none), its file, and how often this transaction has scanned it by now."""

    rank: int
    file: str
    scans: int


@dataclass(frozen=True, slots=True)
class LocksHeld:
    """What a transaction holds after a statement of a step (from 1), by OID; `statement` is 0 when the step begins.

    `began` and `ended` are the statement's times, in seconds since 1970. The last one of a step is `last`: it is as of the step's
    end. When the step begins and ends, `rows` are the rows inserted, updated and deleted by then in the call, and `writing` the tables
    that are locked for writing rows.
    """

    version: str
    step: int
    statement: int
    locks: Mapping[str, HeldLock]
    began: float
    ended: float
    last: bool
    rows: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    writing: frozenset[str] = frozenset()


VARIABLES = (
    "held pg_catalog.jsonb; watched pg_catalog.jsonb; written pg_catalog.jsonb; writing pg_catalog.jsonb; "
)
_KEPT = "mosaic_deploy.watched"
LOAD = f"    watched := NULLIF(pg_catalog.current_setting('{_KEPT}', true), '')::pg_catalog.jsonb;\n"
"""Reads the variables between the statements of one transaction. If the migration resets them, more is reported than changed."""
KEEP = f"    PERFORM pg_catalog.set_config('{_KEPT}', watched::pg_catalog.text, true);\n"
_NOW = "EXTRACT(EPOCH FROM pg_catalog.clock_timestamp())"
_RANK = (
    "pg_catalog.array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', "
    "'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], l.mode)"
)
_NOTE = f"    watched := pg_catalog.jsonb_build_object('seen', held, 'at', {_NOW});\n"
_IF_CHANGED = (
    "    IF COALESCE(held::pg_catalog.text, '') OPERATOR(pg_catalog.<>) "
    "COALESCE(watched OPERATOR(pg_catalog.->>) 'seen', '') THEN\n"
)


def _read_sql(last_oid: int, *, all_scans: bool = False) -> str:
    """PL/pgSQL that sets `held`: by OID, the rank of the lock, the file and the scans of each relation that is locked.

    `all_scans`: also of those that this transaction has scanned and not locked.
    """
    scanned = (
        "\n      UNION ALL SELECT s.oid, 0 FROM pg_catalog.pg_class s WHERE "
        f"pg_catalog.pg_stat_get_xact_numscans(s.oid) OPERATOR(pg_catalog.>) 0 AND {_from_before('s.oid', last_oid)}"
    )
    return f"""    SELECT pg_catalog.jsonb_object_agg(h.oid::pg_catalog.text, pg_catalog.jsonb_build_array(h.rank,
        c.relfilenode::pg_catalog.text, pg_catalog.pg_stat_get_xact_numscans(h.oid))) INTO held
      FROM (SELECT u.oid, pg_catalog.max(u.rank) AS rank FROM (
        SELECT l.relation AS oid, {_RANK} AS rank FROM pg_catalog.pg_locks l
        WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) 'relation'
        AND l.granted AND {_from_before("l.relation", last_oid)}{scanned if all_scans else ""}) u GROUP BY u.oid) h
      LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) h.oid;
"""


def _from_before(oid: str, last_oid: int) -> str:
    return (
        f"{oid} OPERATOR(pg_catalog.>=) '{_FIRST_USER_OID}'::pg_catalog.oid "
        f"AND {oid} OPERATOR(pg_catalog.<=) '{last_oid}'::pg_catalog.oid"
    )


def _read_rows_sql(last_oid: int) -> str:
    """PL/pgSQL that sets `written`, by OID the rows inserted, updated and deleted, and `writing`, the OIDs locked for writing rows."""
    counts = ", ".join(
        f"pg_catalog.pg_stat_get_xact_tuples_{verb}(c.oid)" for verb in ("inserted", "updated", "deleted")
    )
    return f"""    SELECT pg_catalog.jsonb_object_agg(w.oid::pg_catalog.text, w.counts) INTO written
      FROM (SELECT c.oid, ARRAY[{counts}] AS counts FROM pg_catalog.pg_class c
        WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND {_from_before("c.oid", last_oid)}) w
      WHERE 0 OPERATOR(pg_catalog.<) ANY (w.counts);
    SELECT pg_catalog.jsonb_agg(l.relation::pg_catalog.text) INTO writing FROM pg_catalog.pg_locks l
      WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) 'relation'
      AND l.granted AND l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock' AND {_from_before("l.relation", last_oid)};
"""


_ROWS = "'rows', written, 'writing', writing, "


def _report_sql(which: str, statement: str, last: str, more: str = "") -> str:
    return f"""    RAISE INFO USING MESSAGE = pg_catalog.concat({SPLIT_MARKER}, pg_catalog.json_build_object({which},
      'statement', {statement}, {more}'locks', held, 'began', watched OPERATOR(pg_catalog.->) 'at', 'ended', {_NOW},
      'last', {last})::pg_catalog.text);
"""


def begin_watch_sql(which: str, last_oid: int) -> str:
    """PL/pgSQL before a step's statements, with VARIABLES. `which` are arguments for json_build_object: version and step.

    `last_oid` is the largest OID from before the rehearsal. The counters of scans add up over the transactions of a
    connection, so a step begins with what they are.
    """
    read = f"{_read_sql(last_oid, all_scans=True)}{_read_rows_sql(last_oid)}"
    return f"    watched := NULL;\n{read}{_report_sql(which, '0', 'false', _ROWS)}{_NOTE}"


def watch_sql(which: str, statement: str, last_oid: int) -> str:
    """PL/pgSQL after a statement, whose number from 1 is the SQL expression `statement`. It reports only what has changed."""
    return f"{_read_sql(last_oid)}{_IF_CHANGED}{_report_sql(which, statement, 'false')}    END IF;\n{_NOTE}"


def end_watch_sql(which: str, statement: str, last_oid: int) -> str:
    """PL/pgSQL after a step's last statement."""
    read = f"{_read_sql(last_oid)}{_read_rows_sql(last_oid)}"
    return f"{read}{_report_sql(which, statement, 'true', _ROWS)}"


@lru_cache(maxsize=4)
def unwatched(statements: tuple[Statement, ...]) -> frozenset[int]:
    """The numbers from 1 of statements after which nothing needs to be read: what they lock is read after a later one.

    They lock nothing, or are in the middle of statements that write rows of one table.
    """
    tables = [_written_table(one) for one in statements]
    repeated = {
        number
        for number in range(2, len(tables))
        if tables[number - 1] and tables[number - 2] == tables[number - 1] == tables[number]
    }
    nothing = {number for number, one in enumerate(statements, 1) if one.kind in _LOCK_NOTHING}
    return frozenset(repeated | nothing)


def _written_table(statement: Statement) -> str:
    """The table to which a statement writes rows, as it names it; "" for other statements."""
    found = _WRITTEN.match(statement.text) if statement.kind in ROW_KINDS else None
    return f"{found.group(1)} {found.group(2)}".lower() if found else ""


_WRITTEN = re.compile(r"\s*(\w+)\s+(?:into\s+|from\s+|only\s+)?((?:\"[^\"]+\"|[\w$.])+)", re.IGNORECASE)


def parse_locks(message: str) -> LocksHeld | None:
    """The report in a notice; None if it isn't one."""
    if not message.startswith(MARKER):
        return None
    try:
        facts = json.loads(message.removeprefix(MARKER))
        locks = facts["locks"] or {}
        return LocksHeld(
            str(facts["version"]),
            int(facts["step"]),
            int(facts["statement"]),
            {
                str(oid): HeldLock(int(rank), file or "", int(scans))
                for oid, (rank, file, scans) in locks.items()
            },
            float(facts["began"] or facts["ended"]),
            float(facts["ended"]),
            bool(facts["last"]),
            {str(oid): (int(i), int(u), int(d)) for oid, (i, u, d) in (facts.get("rows") or {}).items()},
            frozenset(map(str, facts.get("writing") or ())),
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
