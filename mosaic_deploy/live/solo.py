"""Units outside any transaction: intent first, then the statement once, then the ledger row.

PostgreSQL can't record such a statement together with its effect, so a crash or a lost answer leaves the
question whether it ran. For each kind there is a way to find out, or to run it again without harm, or
neither; then nobody guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from mosaic_deploy.errors import ResponseLost, ServerFailed, SqlFailed
from mosaic_deploy.live.client import Api
from mosaic_deploy.live.lease import lease_lost
from mosaic_deploy.sql.batch import (
    ATTEMPTED,
    SKIPPED,
    Session,
    compile_claim,
    compile_solo,
    read_failure,
)
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import identifier, literal
from mosaic_deploy.sql.records import record
from mosaic_deploy.sql.step import Step

_TRIES = 3


class Outcome(StrEnum):
    """What is known of a statement that was begun earlier."""

    DONE = "done"
    REPEAT = "repeat"
    """It did not take effect, or does no harm twice."""
    UNKNOWN = "unknown"


class OutcomeUnknown(Exception):
    """The statement was sent earlier, its end isn't known, and running it twice could do harm."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.file)
        self.step = step


def run_solo(api: Api, project: str, step: Step, session: Session) -> None:
    """Runs the step's statement and records it. Raises SqlFailed, LeaseLost, OutcomeUnknown, ApiError."""
    for attempt in range(1, _TRIES + 1):
        claimed = _claim(api, project, step, session)
        if claimed == SKIPPED:
            return
        outcome = _find_out(api, project, step) if claimed == ATTEMPTED else Outcome.REPEAT
        if outcome is Outcome.UNKNOWN:
            raise OutcomeUnknown(step)
        try:
            if outcome is Outcome.REPEAT:
                api.sql(project, compile_solo(step), repeatable=False)
        except (ResponseLost, ServerFailed):
            if attempt == _TRIES:
                raise
        else:
            api.sql(project, record(step, session))
            return


def _claim(api: Api, project: str, step: Step, session: Session) -> str:
    """Empty where the claim is new, else the code of what the ledger said."""
    try:
        api.sql(project, compile_claim(step, session))
    except SqlFailed as error:
        failure = read_failure(error.message)
        if failure is None:
            raise
        if failure.code not in (SKIPPED, ATTEMPTED):
            raise lease_lost() from error
        return failure.code
    return ""


def _find_out(api: Api, project: str, step: Step) -> Outcome:
    statement = step.unit.statements[0]
    ask = _WAYS.get(statement.kind)
    return ask(api, project, statement) if ask else Outcome.UNKNOWN


def _index_created(api: Api, project: str, statement: Statement) -> Outcome:
    """A valid index is done. An invalid one is what a failed build leaves: it is dropped, and built again."""
    node = statement.node
    name = node.get("idxname")
    if not name:
        return Outcome.UNKNOWN
    schema = node.get("relation", {}).get("schemaname")
    relation = f"{identifier(schema)}.{identifier(name)}" if schema else identifier(name)
    rows = api.sql(
        project,
        "SELECT i.indisvalid AS valid, i.indexrelid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_index i "
        f"WHERE i.indexrelid = pg_catalog.to_regclass({literal(relation)})",
    )
    if not rows:
        return Outcome.REPEAT
    if rows[0].get("valid") in (True, "t", "true"):
        return Outcome.DONE
    api.sql(project, f"DROP INDEX CONCURRENTLY IF EXISTS {rows[0]['name']}")
    return Outcome.REPEAT


def _index_dropped(api: Api, project: str, statement: Statement) -> Outcome:
    names = [[part["String"]["sval"] for part in item["List"]["items"]] for item in statement.node["objects"]]
    gone = [
        not api.sql(
            project, f"SELECT 1 AS found WHERE pg_catalog.to_regclass({literal(_dotted(name))}) IS NOT NULL"
        )
        for name in names
    ]
    return Outcome.DONE if all(gone) else Outcome.REPEAT


def _dotted(parts: list[str]) -> str:
    return ".".join(identifier(part) for part in parts)


def _harmless_twice(_api: Api, _project: str, _statement: Statement) -> Outcome:
    return Outcome.REPEAT


_WAYS: dict[str, Callable[[Api, str, Statement], Outcome]] = {
    "IndexStmt": _index_created,
    "DropStmt": _index_dropped,
    "VacuumStmt": _harmless_twice,
    "ReindexStmt": _harmless_twice,
    "ClusterStmt": _harmless_twice,
    "AlterSystemStmt": _harmless_twice,
}
