"""Waits for a statement that was sent earlier and may still be running, because its server outlived the connection.

Sending it again meanwhile could end in a deadlock, and dropping the index that it builds would end the build.
"""

from __future__ import annotations

from collections.abc import Callable

from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.indexes import locked_relations_query
from mosaic_deploy.live.ledger.lease import lease_lost_error
from mosaic_deploy.sql.execution.outside_transaction import compile_outside_transaction
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.quote import literal

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_MIN_QUERY_BYTES = 95
"""PostgreSQL shows at least 100 bytes of a running query (track_activity_query_size)."""


def wait_until_ended(
    api: Api, project: str, step: Step, session: SqlSession, sleep: Callable[[float], None]
) -> None:
    """Returns once no other session runs the step's statement. Reads only. Raises LockLost."""
    pause = _FIRST_PAUSE
    query = _running_query(step, session)
    while True:
        rows = api.sql(project, query)
        row = rows[0] if rows else {}
        if row.get("held") not in (True, "t", "true"):
            raise lease_lost_error()
        if row.get("running") not in (True, "t", "true"):
            return
        sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _shows(text: str) -> str:
    """A condition: session `a` shows the text, or as much of it as PostgreSQL keeps."""
    return (
        f"a.query = {text} OR (pg_catalog.octet_length(a.query) >= {_MIN_QUERY_BYTES} "
        f"AND pg_catalog.starts_with({text}, a.query))"
    )


def _running_query(step: Step, session: SqlSession) -> str:
    """Returns `running` and `held`.

    A session runs the statement if it shows its text, or if it holds or awaits the lock of a statement like this on the
    same table. Autovacuum also takes that lock, but has no user, and gives way.
    """
    sent = [literal(compile_outside_transaction(step)), literal(step.sql.statements[0].text)]
    same_text = f"a.state = 'active' AND ({' OR '.join(map(_shows, dict.fromkeys(sent)))})"
    relations = locked_relations_query(step.sql.statements[0])
    same_lock = (
        "EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation' "
        f"AND l.mode = 'ShareUpdateExclusiveLock' AND l.relation IN ({relations}))"
        if relations
        else "false"
    )
    return (
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_catalog.pg_backend_pid() "
        f"AND a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND ({same_text} OR {same_lock})"
        f") AS running, EXISTS (SELECT FROM mosaic_deploy.lease WHERE token = {literal(session.token)} "
        "AND expires_at > pg_catalog.clock_timestamp()) AS held"
    )
