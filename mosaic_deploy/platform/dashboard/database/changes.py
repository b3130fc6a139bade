"""Changes rows: one at a time, found by key and version, and measured before it is committed.

The rules are those of the command `sql`. A row's own insert or update just happens; deleting it, and what triggers and
foreign keys do to other rows, is undone and asked first, with the real numbers. The recorded policy forbids the same, and
the tracking tables can't be changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from mosaic_deploy.platform.dashboard.database import queries
from mosaic_deploy.platform.dashboard.database.forms import (
    DEFAULT,
    NULL,
    Setting,
    changed_settings,
    new_settings,
)
from mosaic_deploy.platform.dashboard.database.measured import Besides, measure, read_counts, table_names
from mosaic_deploy.platform.dashboard.database.relations import Relation
from mosaic_deploy.platform.dashboard.database.rows import FullRow, read_row
from mosaic_deploy.platform.dashboard.database.sessions import DatabaseProblem
from mosaic_deploy.platform.dashboard.queries.policy import read_policy
from mosaic_deploy.platform.dashboard.queries.run import agreement
from mosaic_deploy.platform.postgres.connections import Session

Key = tuple[str | None, ...]
_NOT_DONE = {
    "insert": "PostgreSQL inserted no row: a trigger or rule prevents it",
    "update": "PostgreSQL changed no row: a trigger, rule or policy prevents it",
    "delete": "PostgreSQL deleted no row: a trigger, rule or policy prevents it",
}


class RowChanged(Exception):
    """The row has another version than the form was made from. `now` is None if it is gone."""

    def __init__(self, now: FullRow | None) -> None:
        super().__init__()
        self.now = now


@dataclass(frozen=True, slots=True)
class Result:
    """`key` is the row's key after a committed change. If it was undone, `asks` is what must be agreed to: `agreement`."""

    key: Key = ()
    asks: Besides | None = None
    row: FullRow | None = None

    @property
    def agreement(self) -> str:
        return agreement(self.asks.effects) if self.asks else ""


async def insert_row(session: Session, relation: Relation, sent: Mapping[str, str]) -> Result:
    """Raises DatabaseProblem, psycopg.Error."""
    _require_writable(relation)
    settings = new_settings(relation, sent)
    given = [one for one in settings if one.mode != DEFAULT]
    names = sql.SQL(", ").join(queries.quoted(one.column) for one in given)
    values = sql.SQL(", ").join(_value(one) for one in given)
    into = sql.SQL("INSERT INTO {}").format(queries.table_name(relation))
    statement = into + (
        sql.SQL(" ({}) VALUES ({})").format(names, values) if given else sql.SQL(" DEFAULT VALUES")
    )
    return await _run(session, relation, "insert", statement, _parameters(given), _agreed(sent))


async def update_row(session: Session, relation: Relation, key: Key, sent: Mapping[str, str]) -> Result:
    """Sets what the form changes. Raises RowChanged, DatabaseProblem, psycopg.Error."""
    _require_writable(relation)
    row = await _locked_row(session, relation, key, sent)
    settings = changed_settings(relation, row, sent)
    if not settings:
        return Result(key)
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(queries.quoted(one.column), _value(one)) for one in settings
    )
    statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(
        queries.table_name(relation), assignments, queries.row_condition(relation)
    )
    parameters = (*_parameters(settings), *key)
    return await _run(session, relation, "update", statement, parameters, _agreed(sent))


async def delete_row(session: Session, relation: Relation, key: Key, sent: Mapping[str, str]) -> Result:
    """Deletes the row if `sent` has the agreement to all that goes with it. Raises as `update_row`."""
    _require_writable(relation)
    denial = (await read_policy(session)).denial(await table_names(session, relation))
    if denial:
        raise DatabaseProblem(f"the recorded policy forbids to delete rows here: {denial}")
    row = await _locked_row(session, relation, key, sent)
    statement = sql.SQL("DELETE FROM {} WHERE {}").format(
        queries.table_name(relation), queries.row_condition(relation)
    )
    result = await _run(session, relation, "delete", statement, key, _agreed(sent))
    return Result(asks=result.asks, row=row)


async def _locked_row(session: Session, relation: Relation, key: Key, sent: Mapping[str, str]) -> FullRow:
    row = await read_row(session, relation, key, lock=True)
    if row is None or row.version != sent.get("version"):
        raise RowChanged(row)
    return row


async def _run(
    session: Session,
    relation: Relation,
    action: str,
    statement: sql.Composed,
    parameters: Sequence[object],
    agreed: str | None,
) -> Result:
    """Commits the change if it does nothing else, or what was `agreed` to; otherwise undoes it. A delete is always asked."""
    policy = await read_policy(session)
    before = await read_counts(session)
    key = await _execute(session, relation, action, statement, parameters)
    besides = await measure(session, relation, before, policy, action=action)
    if besides.refused:
        raise DatabaseProblem(
            f"{besides.refused}; nothing was changed. Do it with `mosaic-deploy sql`, or in a migration"
        )
    result = Result(key, besides)
    if (action == "delete" or besides.any) and agreed != result.agreement:
        await session.execute("ROLLBACK")
        return result
    try:
        await session.execute("COMMIT")
    except psycopg.OperationalError as error:
        raise DatabaseProblem(
            "the connection was lost while the change was saved; look whether it was"
        ) from error
    return Result(key)


def _agreed(sent: Mapping[str, str]) -> str | None:
    """Browsers send lines with CRLF."""
    return sent["agreed"].replace("\r\n", "\n") if "agreed" in sent else None


async def _execute(
    session: Session, relation: Relation, action: str, statement: sql.Composed, parameters: Sequence[object]
) -> Key:
    """The row's key afterwards; () if policies may forbid to read it back, as they may for a new row."""
    reads_back = action != "delete" and not (action == "insert" and relation.forced_security)
    if reads_back:
        statement += sql.SQL(" RETURNING {}").format(queries.row_key(relation))
    cursor = await session.execute(statement, list(parameters))
    if cursor.rowcount != 1:
        raise DatabaseProblem(_NOT_DONE[action])
    row = await cursor.fetchone() if reads_back else None
    return tuple(row[0]) if row else ()


def _require_writable(relation: Relation) -> None:
    if relation.read_only_reason:
        raise DatabaseProblem(f"nothing was changed: {relation.read_only_reason}")


def _value(setting: Setting) -> sql.Composable:
    return sql.SQL({DEFAULT: "DEFAULT", NULL: "NULL"}.get(setting.mode, "%s"))


def _parameters(settings: Sequence[Setting]) -> tuple[object, ...]:
    return tuple(one.text for one in settings if one.mode not in (DEFAULT, NULL))
